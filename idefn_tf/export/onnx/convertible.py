"""Which models have an ONNX form: asked before any work is done."""

from __future__ import annotations

from idefn_tf.export.onnx.packages import import_packages
from idefn_tf.export.signatures import CALIBRATED, SCORES
from idefn_tf.features import FeatureColumns


def require_convertible(features: FeatureColumns) -> None:
    """Refuses what ONNX cannot say, and an environment that cannot convert.

    TensorFlow's text hash (FarmHash64) has no operator in ONNX. It stands behind hash features, and
    behind vocabularies that spread unknown values over several buckets; of integers it is
    arithmetic (`farm_hash`), of text it is not.

    Raises:
        ImportError: if a package of the extra ``onnx`` is missing.
        ValueError: naming every feature whose text is hashed, or named as an output.
    """
    hashed = [
        f"{field.name} ({'hash' if field.kind == 'hash' else f'{field.oov_buckets} buckets'})"
        for field in features.fields
        if field.dtype == "string"
        and (field.kind == "hash" or (field.kind == "vocabulary" and field.oov_buckets > 1))
    ]
    outputs = (*SCORES, CALIBRATED)
    if taken := sorted(set(features.raw_names) & set(outputs)):
        raise ValueError(
            f"format: onnx must have features of other names than outputs, received {taken}, for "
            "inputs and outputs share names there;\nrename them, or export a SavedModel"
        )
    if hashed:
        raise ValueError(
            f"format: onnx must have no text that is hashed, received {', '.join(hashed)};\n"
            "train with kind vocabulary and at most one bucket for unknown values, or export a "
            "SavedModel"
        )
    import_packages()
