"""What reaches the network travels as one value, which refuses nonsense."""

from __future__ import annotations

import math
from typing import Any

import pytest
from fakes import InvertingRestorer

from oldphoto_core.errors import ConfigError
from oldphoto_core.inference.network_options import NetworkOptions
from oldphoto_core.restoration import job_of, load_restorer, register_restorer


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"model": ""}, "model is empty"),
        ({"device": "toaster"}, "no device is called 'toaster'"),
        ({"device": "cuda:"}, "no device is called 'cuda:'"),
        ({"memory": 0}, "memory is 0"),
        ({"memory": math.nan}, "memory is nan"),
        ({"precision": "float8"}, "precision is 'float8'; choose one of auto, float32"),
    ],
)
def test_a_choice_that_makes_no_sense_is_refused_by_name(choice: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        NetworkOptions(**choice)
    with pytest.raises(ConfigError, match=message):
        job_of(source="old", target="new", **choice)


def test_a_job_on_another_device_is_otherwise_the_same() -> None:
    job = job_of(source="old", target="new", model="mine", memory=10**9, precision="float32")
    assert job.on("cuda:1").network == NetworkOptions(model="mine", device="cuda:1", memory=10**9, precision="float32")
    assert job.on("cuda:1").on("auto") == job


def test_a_restorer_is_kept_until_something_about_its_network_changes() -> None:
    register_restorer("counted", lambda _device: InvertingRestorer())
    first = load_restorer(NetworkOptions(model="counted"))
    assert load_restorer(NetworkOptions(model="counted")) is first
    assert load_restorer(NetworkOptions(model="counted", device="cpu")) is not first
    assert load_restorer(NetworkOptions(model="counted", precision="float32")) is not first
