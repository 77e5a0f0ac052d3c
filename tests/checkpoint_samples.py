"""How a painting begins, for the tests of checkpoints."""

from nstd.network import Network
from nstd.preset import Preset
from nstd.worker.checkpoint import Checkpoint, Identity, Provenance

PROVENANCE = Provenance(
    nstd_version="1", tensorflow_version="2", device="cpu", device_model="EPYC", precision="float32"
)
IDENTITY = Identity(
    network=Network.VGG19,
    weights_sha256="0" * 64,
    content_sha256="1" * 64,
    styles=(("2" * 64, 1.0), ("3" * 64, 0.5)),
    preset=Preset.model_validate({"styles": ["/styles/swirls.jpg"]}),
)
BEGINNING = Checkpoint(
    identity=IDENTITY, provenance=PROVENANCE, started_at="2026-11-23T04:15:00.000000Z", decode_seconds=0.25
)
