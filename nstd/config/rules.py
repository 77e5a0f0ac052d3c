"""Rules between settings: names that must exist elsewhere in the file, and settings that exclude each other."""

import importlib.util
from collections.abc import Iterator

from nstd.config.document import Document
from nstd.config.problems import Problem, nearest_or_all
from nstd.config.settings import Workers
from nstd.network import Network, layer_names

_LAYER_SETTINGS = ("content_layers", "style_layers", "nearest_layers")


def broken_rules(document: Document) -> Iterator[Problem]:
    """Check the rules between settings, whatever is wrong with single ones."""
    yield from _unknown_layers(document)
    yield from _unknown_default_presets(document)
    yield from _names_that_differ_in_case(document)
    yield from _devices(document)
    yield from _missing_extra(document)


def _unknown_layers(document: Document) -> Iterator[Problem]:
    network = document.entries("engine").get("network", Network.VGG19)
    if not isinstance(network, str) or network not in [*Network]:
        return
    known = layer_names(Network(network))
    for preset in document.entries("presets"):
        for setting in _LAYER_SETTINGS:
            for layer in document.entries("presets", preset, setting):
                if layer not in known:
                    path = ("presets", preset, setting, layer)
                    message = f"is not a layer of {network}{nearest_or_all(layer, known)}"
                    yield document.problem(path, message, at_key=True)


def _unknown_default_presets(document: Document) -> Iterator[Problem]:
    presets, names = document.entries("presets"), document.get("default_presets")
    if not presets or not isinstance(names, list):
        return
    for index, name in enumerate(names):
        path = ("default_presets", index)
        if isinstance(name, str) and name not in presets:
            shown = document.places[path].shown
            yield document.problem(path, f"is not a preset (got {shown}){nearest_or_all(name, presets)}")
        elif names.index(name) < index:
            yield document.problem(path, f"is listed twice (got {document.places[path].shown})")


def _names_that_differ_in_case(document: Document) -> Iterator[Problem]:
    first: dict[str, str] = {}
    for name in document.entries("presets"):
        other = first.setdefault(name.lower(), name)
        if other != name:
            yield document.problem(("presets", name), f"differs from {other!r} only in case", at_key=True)


def _devices(document: Document) -> Iterator[Problem]:
    engine = document.entries("engine")
    devices = engine.get("devices")
    listed = devices if isinstance(devices, list) else []
    for index, device in enumerate(listed):
        path = ("engine", "devices", index)
        if device == "auto":
            message = "must be cpu or a GPU: one of several cannot be found by itself (got 'auto')"
            yield document.problem(path, message)
        elif listed.index(device) < index:
            yield document.problem(path, f"is listed twice (got {document.places[path].shown})")
    if listed and engine.get("device", "auto") != "auto":
        yield document.problem(("engine", "device"), "must be auto, or left out, where devices are listed")
    if engine.get("workers") == Workers.RAY:
        if listed:
            yield document.problem(("engine", "devices"), "must be empty: ray.workers says how many there are")
        device = engine.get("device", "auto")
        if isinstance(device, str) and device not in {"auto", "cpu"}:
            yield document.problem(("engine", "device"), "must be auto or cpu: Ray gives each worker its GPU")


def _missing_extra(document: Document) -> Iterator[Problem]:
    if document.entries("engine").get("workers") == Workers.RAY and importlib.util.find_spec("ray") is None:
        yield document.problem(("engine", "workers"), "needs Ray, which comes with pip install 'nstd[cluster]'")
