"""The terms of the loss, a file each.

A term of a name `x` lives in the module `x` of this package, which has a function `term` that makes it from the
settings of a transfer; `TransferSettings.terms` says which terms its settings ask for.
"""

import importlib

from nstd.engine.terms.term import Term
from nstd.transfer_settings import TransferSettings


def terms_of(settings: TransferSettings) -> tuple[Term, ...]:
    """Make the terms that the settings ask for."""
    modules = (importlib.import_module(f"{__name__}.{name}") for name in settings.terms)
    return tuple(module.term(settings) for module in modules)
