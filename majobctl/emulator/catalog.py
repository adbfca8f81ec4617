"""What the imagined cloud offers: engines, flavors and built-in algorithms of public documents. Ids
from 900 on, the sizes of the flavors with such an id, and creation times are invented."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Engine:
    """One entry of the engine list (GET job/ai-engines)."""

    engine_id: int
    engine_type: int
    engine_name: str
    engine_version: str


@dataclass(frozen=True, slots=True)
class Flavor:
    """One entry of the flavor list (GET job/resource-specs). core and cpu (GB) are texts."""

    spec_id: int
    spec_code: str
    core: str
    cpu: str
    gpu_num: int
    gpu_type: str
    max_num: int
    unit_num: int = 1
    storage: str = ""
    interface_type: int = 1
    no_resource: bool = False


@dataclass(frozen=True, slots=True)
class Algorithm:
    """One built-in algorithm. model_usage: 1 classification, 2 detection, 3 segmentation."""

    model_id: int
    model_name: str
    model_usage: int
    engine_id: int
    labels: tuple[tuple[str, str], ...]


_ENGINES = (
    Engine(1, 1, "TensorFlow", "TF-1.4.0-python2.7"),
    Engine(3, 1, "TensorFlow", "TF-1.8.0-python2.7"),
    Engine(4, 1, "TensorFlow", "TF-1.8.0-python3.6"),
    Engine(8, 4, "Caffe", "Caffe-1.0.0-python2.7"),
    Engine(100, 9, "XGBoost-Sklearn", "XGBoost-0.80-Sklearn-0.18.1-python3.6"),
    Engine(130, 13, "Ascend-Powered-Engine", "TF-1.15-python3.7-aarch64"),
    Engine(501, 2, "MXNet", "MXNet-1.2.1-python2.7"),
    Engine(901, 10, "PyTorch", "PyTorch-1.0.0-python2.7"),
    Engine(902, 10, "PyTorch", "PyTorch-1.0.0-python3.6"),
    Engine(903, 10, "PyTorch", "PyTorch-1.3.0-python2.7"),
    Engine(904, 10, "PyTorch", "PyTorch-1.3.0-python3.6"),
    Engine(905, 10, "PyTorch", "PyTorch-1.4.0-python3.6"),
    Engine(906, 1, "TensorFlow", "TF-1.13.1-python2.7"),
    Engine(907, 1, "TensorFlow", "TF-1.13.1-python3.6"),
    Engine(908, 1, "TensorFlow", "TF-2.1.0-python3.6"),
    Engine(909, 2, "MXNet", "MXNet-1.2.1-python3.6"),
    Engine(910, 5, "Spark_MLlib", "Spark-2.3.2-python2.7"),
    Engine(911, 5, "Spark_MLlib", "Spark-2.3.2-python3.6"),
    Engine(912, 9, "XGBoost-Sklearn", "Scikit_Learn-0.18.1-python3.6"),
    Engine(913, 17, "MindSpore-GPU", "MindSpore-1.1.0-python3.7"),
)

_FLAVORS = (
    Flavor(2, "modelarts.vm.cpu.2u", "2", "8", 0, "", 2),
    Flavor(27, "modelarts.vm.cpu.8u", "8", "32", 0, "", 1),
    Flavor(4, "modelarts.vm.gpu.v100", "8", "64", 1, "v100", 4),
    Flavor(5, "modelarts.vm.gpu.v100NV", "8", "64", 1, "nvidia-v100-pcie", 1),
    Flavor(951, "modelarts.vm.gpu.p100", "8", "64", 1, "nvidia-p100", 4),
    Flavor(952, "modelarts.vm.gpu.p4", "8", "32", 1, "nvidia-p4", 2),
    Flavor(953, "modelarts.vm.gpu.t4", "8", "32", 1, "nvidia-t4", 2),
    Flavor(954, "modelarts.bm.gpu.8v100", "72", "512", 8, "nvidia-v100-nvlink32", 16),
    Flavor(955, "modelarts.kat1.xlarge", "24", "96", 0, "", 2),
    Flavor(956, "modelarts.kat1.8xlarge", "192", "720", 0, "", 4),
)

_TRAINING = (("lr", "0.0001"), ("batch_size", "4"), ("num_epoch", "10"))
_DETECTION = (("lr", "0.0001"), ("eval_frequence", "1"), ("num_classes", ""))

_ALGORITHMS = (
    Algorithm(4, "ResNet_v2_50", 1, 501, (*_TRAINING, ("num_classes", ""))),
    Algorithm(5, "Faster_RCNN_ResNet_v2_101", 2, 501, _DETECTION),
    Algorithm(971, "yolo_v3", 2, 501, _TRAINING),
    Algorithm(972, "darknet_53", 1, 501, _TRAINING),
    Algorithm(973, "SegNet_VGG_BN_16", 3, 501, _TRAINING),
    Algorithm(974, "retinanet_resnet_v1_50", 2, 3, _DETECTION),
    Algorithm(975, "inception_v3", 1, 3, _TRAINING),
    Algorithm(976, "ResNet_v1_50", 1, 3, _TRAINING),
    Algorithm(977, "Faster_RCNN_ResNet_v1_50", 2, 3, _DETECTION),
)

ENGINES = {engine.engine_id: engine for engine in _ENGINES}
FLAVORS = {flavor.spec_id: flavor for flavor in _FLAVORS}
ALGORITHMS = {algorithm.model_id: algorithm for algorithm in _ALGORITHMS}

JOB_TYPES = ("train", "inference")
PROJECT_TYPES = ("0", "1", "2", "3")
_ORDERS = ("model_name", "model_usage", "model_precision", "model_size", "create_time", "parameter")
ALGORITHM_ORDERS = {"engine": "engine_name", **{key: key for key in _ORDERS}}
_FIRST_ALGORITHM_TIME = 1522218780025


def list_engines(job_type: str) -> list[dict[str, Any]]:
    """The engines for a job type; there are none for inference."""
    return [asdict(engine) for engine in _ENGINES] if job_type == "train" else []


def list_flavors(job_type: str) -> list[dict[str, Any]]:
    """The flavors for a job type. No document says which go with an engine or a kind of project."""
    return [asdict(flavor) for flavor in _FLAVORS] if job_type == "train" else []


def list_algorithms() -> list[dict[str, Any]]:
    """The built-in algorithms. `parameter` is a JSON text, as the service gives it."""
    return [_describe_algorithm(algorithm) for algorithm in _ALGORITHMS]


def _describe_algorithm(algorithm: Algorithm) -> dict[str, Any]:
    engine = ENGINES[algorithm.engine_id]
    parameters = [{"label": key, "value": text, "required": True} for key, text in algorithm.labels]
    about = {**asdict(algorithm), **asdict(engine)}
    del about["labels"], about["engine_type"]
    blank = ("precision", "train_dataset", "dataset_format", "description_url")
    return {
        **about,
        **{f"model_{name}": "" for name in blank},
        "model_size": 0,
        "parameter": json.dumps(parameters, separators=(",", ":")),
        "create_time": _FIRST_ALGORITHM_TIME + algorithm.model_id,
    }
