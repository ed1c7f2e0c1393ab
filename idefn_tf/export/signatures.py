"""Signatures: what a served model takes and gives.

============================  =====================================================  =============
signature                     inputs                                                 outputs
============================  =====================================================  =============
serving_default               raw features by name, [B]; lists [B, max_length]       ctr, cvr, ctcvr
predict_examples              inputs: serialized tf.Example [B]                      ctr, cvr, ctcvr
classify                      inputs: serialized tf.Example [B]                      classes, scores
regress                       inputs: serialized tf.Example [B]                      outputs: cvr
============================  =====================================================  =============

A model that takes history has ``serving_with_history`` too, with all inputs. Where a snapshot of
history is inside, ``serving_default`` and those over tf.Example take recorded features alone and
look history up. If it has hours or gaps, ``serving_at`` also takes each row's time: ``serving_at``,
int64 [B] in the schema's unit.

With a calibrator, ``cvr_calibrated`` joins the outputs and the classes. Scores are float32 [B].
``classify`` names each event's probability: classes [B, C] holds the output names, scores [B, C]
their values.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import tensorflow as tf

from idefn_tf.data.dataset import feature_signature
from idefn_tf.data.readers.tfrecord import parse_examples
from idefn_tf.export.history_tables import HistoryTables
from idefn_tf.models import EntireSpaceModel
from idefn_tf.schema import Feature, Schema

#: The signatures, in the order in which they are described.
DEFAULT, EXAMPLES, CLASSIFY, REGRESS = "serving_default", "predict_examples", "classify", "regress"
#: All inputs, history among them, whether a snapshot is inside or not.
WITH_HISTORY = "serving_with_history"
#: A snapshot's history, hours and gaps as of each row's time; and the input that holds it.
AT = "serving_at"
#: The scores of every export, and the one that a calibrator adds.
SCORES, CALIBRATED = ("ctr", "cvr", "ctcvr"), "cvr_calibrated"


def serving_schema(schema: Schema) -> Schema:
    """Returns the schema of a request: the same without the features absent at serving.

    Example:
        >>> from idefn_tf.export import serving_schema
        >>> tab = {"name": "tab", "dtype": "int64", "side": "context", "kind": "identity",
        ...        "num_buckets": 9, "train_only": True, "serving_value": 0}
        >>> whole = Schema.parse({"name": "shop", "labels": labels, "features": [user, tab]})
        >>> len(whole.features), [feature.name for feature in serving_schema(whole).features]
        (2, ['user'])
    """
    kept = tuple(feature for feature in schema.features if not feature.train_only)
    if not kept:
        raise ValueError(
            "schema: every feature is train_only, so a request would be empty; keep one for serving"
        )
    return schema.model_copy(update={"features": kept})


def serving_inputs(schema: Schema) -> dict[str, tf.TensorSpec]:
    """Returns the inputs of `serving_default` by name, weights of weighted lists included.

    Example:
        >>> from idefn_tf.export import serving_inputs
        >>> {name: spec.dtype.name for name, spec in serving_inputs(schema).items()}
        {'user': 'int64', 'item': 'int64', 'price': 'float32'}
    """
    return feature_signature(serving_schema(schema))


def recorded(schema: Schema) -> Schema:
    """Returns the schema of requests whose history is looked up: without generated features."""
    return schema.model_copy(update={"features": schema.recorded})


def stand_ins(schema: Schema, rows: Any) -> dict[str, tf.Tensor]:
    """Returns what stands in for the train-only features of `rows` rows."""
    made: dict[str, tf.Tensor] = {}
    for feature in schema.features:
        if not feature.train_only:
            continue
        value = tf.constant(feature.serving_value, feature.dtype)
        if not feature.multi_valued:
            made[feature.name] = tf.fill([rows], value)
            continue
        made[feature.name] = _one_entry(value, _padding(feature), rows, feature)
        if feature.weights is not None:
            one, zero = tf.constant(1.0), tf.constant(0.0)
            made[feature.weights_name] = _one_entry(one, zero, rows, feature)
    return made


def _padding(feature: Feature) -> tf.Tensor:
    return tf.constant("" if feature.dtype == "string" else -1, feature.dtype)


def _one_entry(value: tf.Tensor, padding: tf.Tensor, rows: Any, feature: Feature) -> tf.Tensor:
    rest = tf.fill([rows, (feature.max_length or 1) - 1], padding)
    return tf.concat([tf.fill([rows, 1], value), rest], 1)


class ServingModule(tf.Module):
    """A trained model as TensorFlow Serving loads it: inference alone, vocabularies inside.

    The scoring graph is traced once and shared by all signatures. Only what that graph reads is
    tracked, so that a saved module holds neither the optimizer's state nor metrics.

    Args:
        model: a trained model; its variables are shared, not copied.
        schema: of its raw features.
        calibrator: a layer, or any function, from cvr [B] to the calibrated cvr [B].
        history: looks up the generated features of recorded ones.

    Example:
        >>> from idefn_tf.export import ServingModule
        >>> from idefn_tf.models import AllNegative
        >>> module = ServingModule(AllNegative(features, MLP((4,))), schema)
        >>> signatures = module.trace(schema)
        >>> len(signatures), "serving_default" in signatures
        (4, True)
    """

    def __init__(
        self,
        model: EntireSpaceModel,
        schema: Schema,
        calibrator: Callable[[tf.Tensor], tf.Tensor] | None = None,
        history: HistoryTables | None = None,
    ) -> None:
        super().__init__(name="serving")
        model.build()
        score = score_function(model, schema, calibrator)
        self.scorer = _signature(score, **serving_inputs(schema))
        # exactly what the graph reads: its variables, and the encoders, which own the hash tables
        # (tracking the layers themselves would save every embedding table twice)
        self.read_variables = sorted(self.scorer.graph.variables, key=lambda v: v.name)
        self.encoders = model.features.encoders
        self.history = history

    def trace(self, schema: Schema) -> dict[str, Any]:
        """Returns the concrete functions by name, as `tf.saved_model.save` takes them."""
        asked, scores = schema, self._scores
        if self.history is not None:
            asked, scores = recorded(schema), self._looked_up
        made = {
            DEFAULT: _signature(scores, **serving_inputs(asked)),
            **_example_signatures(serving_schema(asked), scores),
        }
        if schema.generated:
            made[WITH_HISTORY] = _signature(self._scores, **serving_inputs(schema))
        if self.history is not None and self.history.tells_time:
            moments = tf.TensorSpec([None], tf.int64, AT)
            made[AT] = _signature(self._looked_up, **serving_inputs(asked), **{AT: moments})
        return made

    def _looked_up(self, **features: tf.Tensor) -> dict[str, tf.Tensor]:
        """Scores rows whose history is looked up."""
        assert self.history is not None
        times = features.pop(AT, None)
        return self._scores(**features, **self.history(features, times))

    def _scores(self, **features: tf.Tensor) -> dict[str, tf.Tensor]:
        """Scores raw features; outputs are renamed copies, so that each keeps its own name."""
        return {name: tf.identity(value, name) for name, value in self.scorer(**features).items()}


def score_function(
    model: EntireSpaceModel,
    schema: Schema,
    calibrator: Callable[[tf.Tensor], tf.Tensor] | None = None,
) -> Callable[..., dict[str, tf.Tensor]]:
    """Returns the function from raw features by name to scores by name, to be traced.

    Args:
        model: a trained model.
        schema: of its raw features.
        calibrator: from cvr [B] to the calibrated cvr [B].
    """
    first = next(iter(serving_inputs(schema)))

    def score(**features: tf.Tensor) -> dict[str, tf.Tensor]:
        known = {**features, **stand_ins(schema, tf.shape(features[first])[0])}
        scores = dict(model(known, training=False))
        if calibrator is not None:
            scores[CALIBRATED] = calibrator(scores["cvr"])
        return {name: _rank_one(scores[name]) for name in sorted(scores)}

    return score


def _rank_one(values: tf.Tensor) -> tf.Tensor:
    return tf.reshape(tf.cast(values, tf.float32), [-1])


def _signature(function: Callable[..., Any], **specs: tf.TensorSpec) -> Any:
    return tf.function(function, autograph=False).get_concrete_function(**specs)


def _example_signatures(request: Schema, scores: Callable[..., Any]) -> dict[str, Any]:
    """Builds the signatures over serialized tf.Example."""
    spec = tf.TensorSpec([None], tf.string, "inputs")

    def parse(inputs: tf.Tensor) -> Mapping[str, tf.Tensor]:
        parsed: Mapping[str, tf.Tensor] = parse_examples(request, inputs)
        return parsed

    def predict_examples(inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        return dict(scores(**parse(inputs)))

    def classify(inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        found = scores(**parse(inputs))
        names = [name for name in (*SCORES, CALIBRATED) if name in found]
        classes = tf.tile(tf.constant([names]), [tf.shape(inputs)[0], 1])
        return {"classes": classes, "scores": tf.stack([found[name] for name in names], 1)}

    def regress(inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"outputs": scores(**parse(inputs))["cvr"]}

    functions = {EXAMPLES: predict_examples, CLASSIFY: classify, REGRESS: regress}
    return {name: _signature(function, inputs=spec) for name, function in functions.items()}
