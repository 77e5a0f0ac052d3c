import numpy as np
import pytest
from engine_samples import guides_of, mixed
from flat_photos import FLAT, flat_photo

from nstd.engine.pixels import preprocess
from nstd.manner import ContentStatistics, Manner
from nstd.transfer_settings import Pooling, StyleStatistics, TransferSettings

ORDINARY = ("astronaut", "chelsea", "coffee", "rocket")
NOTE = "the photo has next to no content: what is painted is mostly the style's"


def paint(engine, photo, style, **settings):
    transfer = engine.transfer(photo, [style], TransferSettings(levels=(1,), iterations=(30,), **settings))
    for _ in transfer.steps():
        pass
    return transfer


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        *((name, {"manner": manner}) for name in FLAT for manner in Manner),
        ("grey_card", {"style_statistics": StyleStatistics.WASSERSTEIN}),
    ],
)
def test_flat_photos_are_painted_and_not_given_back(engine, style, picture, name, settings):
    photo, painting = flat_photo(name, 80), picture("styles/swirls.jpg", 96)
    transfer = paint(engine, photo, style("swirls", 96), **settings)
    contrast = transfer.best.std(axis=(0, 1)).mean() / painting.std(axis=(0, 1)).mean()
    assert 0.5 < contrast < 1.3
    assert np.abs(transfer.best - photo).mean() > 20
    assert transfer.notes == [NOTE]


@pytest.mark.parametrize("pooling", list(Pooling))
def test_floor_of_content_is_a_quarter_of_what_ordinary_photos_have(engine, picture, pooling):
    objective = engine.descent(TransferSettings(manner=Manner.TEXTURE, pooling=pooling)).objective
    content, *_ = objective.terms
    shares = []
    for name in ORDINARY:
        photo = preprocess(picture(f"photos/{name}.jpg", 320))
        guides = guides_of(objective, photo)
        seen = objective.photo(photo, guides, with_yardsticks=True)
        aims = objective.aims(seen, mixed(objective, photo))
        shares.append(content.floor[0] / float(objective.yardsticks(seen, aims)["content"][0]))
    assert np.exp(np.mean(np.log(shares))) == pytest.approx(0.25, rel=0.3)


@pytest.mark.parametrize("pooling", list(Pooling))
def test_ordinary_photos_have_content_enough_and_fog_has_not(engine, style, picture, pooling):
    settings = TransferSettings(manner=Manner.TEXTURE, iterations=(1,), pooling=pooling)
    for name in ORDINARY:
        transfer = engine.transfer(picture(f"photos/{name}.jpg", 96), [style("swirls", 96)], settings)
        assert next(transfer.steps()).losses.total == pytest.approx(2500, rel=1e-3)
        assert transfer.notes == []
    foggy = engine.transfer(flat_photo("fog", 96), [style("swirls", 96)], settings)
    next(foggy.steps())
    assert foggy.notes == [NOTE]


@pytest.mark.parametrize("layer", ["block3_conv3", "block4_conv2"])
def test_ordinary_photos_have_self_similarity_enough_and_flat_ones_have_not(engine, style, picture, layer):
    settings = TransferSettings(
        content_statistics=ContentStatistics.SELF_SIMILARITY, content_layers={layer: 1}, levels=(1,), iterations=(1,)
    )
    for name in (*ORDINARY, *FLAT):
        photo = flat_photo(name, 160) if name in FLAT else picture(f"photos/{name}.jpg", 160)
        transfer = engine.transfer(photo, [style("swirls", 160)], settings)
        next(transfer.steps())
        assert transfer.notes == ([NOTE] if name in FLAT else []), name


@pytest.mark.parametrize("manner", Manner)
def test_a_photo_of_fine_texture_alone_is_painted(engine, style, manner):
    noise = np.random.default_rng(1).uniform(0, 255, (80, 80, 1)).astype(np.float32)
    transfer = paint(engine, np.repeat(noise, 3, axis=2), style("swirls", 96), manner=manner)
    [level] = transfer.levels
    first, last = (
        sum(loss for row, loss in losses.terms.items() if row.startswith("gram"))
        for losses in (level.history[0], level.history[-1])
    )
    assert last < first / 5
    fine = [np.abs(np.diff(image.mean(axis=2), axis=1)).mean() for image in (transfer.best, noise)]
    assert fine[0] < 0.75 * fine[1], "strokes have taken the place of grain"
