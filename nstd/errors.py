"""The exceptions of nstd, sorted by who must act.

    NstdError
    ├── ConfigError        the operator: the config file, or a setting in it
    │   ├── StyleError     the operator: a style image cannot be decoded; only the jobs that need it fail
    │   └── WeightsError   the operator: the network's weights are missing or damaged
    ├── InputError         whoever dropped the file: it goes to `failed/`, never retried
    ├── SpoolError         the machine: disk full, folder not writable; deferred and retried
    │   └── SpoolLockedError   another daemon works on this spool
    ├── CheckpointError    nobody: the job starts over
    └── EngineError        us: the attempt counts

Only `nstd.cli` turns them into exit codes.
"""


class NstdError(Exception):
    """Base of every error that nstd raises on purpose; its text is fit to be shown to a person."""


class ConfigError(NstdError):
    """The operator must act: a setting is wrong, or what it points to cannot be used."""


class StyleError(ConfigError):
    """The operator must act: a style image cannot be decoded; only the jobs that need it fail."""


class WeightsError(ConfigError):
    """The operator must act: the network's weights are missing or damaged."""


class InputError(NstdError):
    """Whoever dropped the file must act: it can never become a painting."""


class SpoolError(NstdError):
    """The machine is in trouble: the work is deferred and tried again."""


class DropError(SpoolError):
    """One drop cannot be read, or not be taken out of the inbox; the others are not concerned."""


class SpoolLockedError(SpoolError):
    """Another daemon already works on this spool."""


class CheckpointError(NstdError):
    """A checkpoint cannot be used: the job starts over."""


class EngineError(NstdError):
    """The computation went wrong: the attempt counts."""
