"""Every source file with logic has a named test: its mirror, or the one that this map names."""

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("idefn_tf", "pipelines", "serving")

#: Test file -> the source files that it holds beside its mirror.
HOLDS = {
    "idefn_tf/backbones/test_mlp": "idefn_tf/backbones/published_dense",
    "idefn_tf/calibration/test_calibrator": """idefn_tf/calibration/isotonic_calibrator
        idefn_tf/calibration/piecewise_linear idefn_tf/calibration/platt_calibrator
        idefn_tf/calibration/platt_scaling""",
    "idefn_tf/data/test_convert": "idefn_tf/data/numbers_in_text",
    "idefn_tf/data/test_dataset": """idefn_tf/data/arrow_to_numpy
        idefn_tf/data/files idefn_tf/data/readers/tfdata_stream""",
    "idefn_tf/data/test_encoded_dataset": "idefn_tf/data/encoding idefn_tf/data/vocabularies",
    "idefn_tf/data/test_generated_dataset": "idefn_tf/data/any_rows",
    "idefn_tf/data/test_held_rows": "idefn_tf/data/encoded_rows",
    "idefn_tf/data/readers/test_tensorflow_io": """idefn_tf/data/tensorflow_io_plugin
        idefn_tf/data/trusted_parquet""",
    "idefn_tf/encoders/test_encoders": """idefn_tf/encoders/din idefn_tf/encoders/encoder
        idefn_tf/encoders/mean idefn_tf/encoders/packed idefn_tf/encoders/target_attention
        idefn_tf/encoders/transformer""",
    "idefn_tf/export/test_exporter": """idefn_tf/export/card idefn_tf/export/corner_cases
        idefn_tf/export/replay idefn_tf/export/signatures idefn_tf/export/tf_examples""",
    "idefn_tf/export/test_gate": "idefn_tf/export/psi",
    "idefn_tf/export/test_history_tables": "idefn_tf/history/snapshot",
    "idefn_tf/export/onnx/test_convertible": "idefn_tf/export/onnx/packages",
    "idefn_tf/export/onnx/test_onnx_graph": """idefn_tf/export/onnx/key_tables
        idefn_tf/export/onnx/onnx_version""",
    "idefn_tf/export/onnx/test_operators": "idefn_tf/export/onnx/farm_hash",
    "idefn_tf/export/onnx/test_onnx_scorer": "idefn_tf/export/open_version",
    "idefn_tf/export/test_scorer": "idefn_tf/export/version_scorer",
    "idefn_tf/export/test_warmup": "idefn_tf/export/warmup_records",
    "idefn_tf/features/test_feature_columns": """idefn_tf/features/field_group
        idefn_tf/features/lookup idefn_tf/features/table_access idefn_tf/features/table_layout""",
    "idefn_tf/features/test_parity": "idefn_tf/features/column_lowering",
    "idefn_tf/features/test_sequence_slots": "idefn_tf/features/sequence_columns",
    "idefn_tf/history/test_attach": """idefn_tf/history/aggregates idefn_tf/history/event_kinds
        idefn_tf/history/lookback""",
    "idefn_tf/history/test_naive_loop": """idefn_tf/history/outcome_times
        idefn_tf/history/sequences""",
    "idefn_tf/schema/test_history": "idefn_tf/schema/history_features",
    "idefn_tf/metrics/test_exact_metrics": "idefn_tf/metrics/_inputs",
    "idefn_tf/metrics/test_score_histogram": """idefn_tf/metrics/_derive idefn_tf/metrics/_stream
        idefn_tf/metrics/binary_metrics idefn_tf/metrics/calibration_error
        idefn_tf/metrics/histogram_auc idefn_tf/metrics/histogram_ks
        idefn_tf/metrics/streaming_log_loss idefn_tf/metrics/streaming_pcoc
        idefn_tf/metrics/weighted_ratio""",
    "idefn_tf/models/test_entire_space_model": """idefn_tf/_keras_private
        idefn_tf/models/training/metric_tracking idefn_tf/models/training/metrics""",
    "idefn_tf/models/feedback/test_likelihood": """idefn_tf/models/feedback/defer
        idefn_tf/models/feedback/defuse idefn_tf/models/feedback/es_dfm
        idefn_tf/models/feedback/fnc idefn_tf/models/feedback/fnw
        idefn_tf/models/feedback/observed
        idefn_tf/models/feedback/oracle idefn_tf/models/feedback/wait
        idefn_tf/models/feedback/weigh idefn_tf/models/feedback/windowed""",
    "idefn_tf/models/training/test_row_padding": "idefn_tf/models/training/scoring",
    "idefn_tf/models/training/test_trainer": """idefn_tf/models/training/catch_up
        idefn_tf/models/training/step idefn_tf/models/training/unpacking""",
    "idefn_tf/models/test_every_method": """idefn_tf/models/batch
        idefn_tf/models/methods/click_only""",
    "idefn_tf/models/controls/test_top_k_cvr": """idefn_tf/models/controls/counted_relabel
        idefn_tf/models/top_rows""",
    "idefn_tf/models/methods/test_ddpo": "idefn_tf/models/trunks/attention_transfer",
    "idefn_tf/models/trunks/test_trunk": """idefn_tf/models/trunks/mmoe_trunk
        idefn_tf/models/trunks/ple_trunk""",
    "idefn_tf/optimizers/test_row_sparse": """idefn_tf/optimizers/row_programs
        idefn_tf/optimizers/row_state idefn_tf/optimizers/row_sparse_adagrad
        idefn_tf/optimizers/row_sparse_adam idefn_tf/optimizers/row_access
        idefn_tf/tables/mark_table""",
    "idefn_tf/schema/test_schema": """idefn_tf/schema/feature idefn_tf/schema/labels
        idefn_tf/schema/strict""",
    "idefn_tf/tables/test_distinct_rows": "idefn_tf/tables/packed_events",
    "idefn_tf/test_files": "idefn_tf/_files",
    "idefn_tf/test_front_door": "idefn_tf/_front_door idefn_tf/_homes idefn_tf/_lazy",
    "idefn_tf/test_option_records": """idefn_tf/_options idefn_tf/_rules idefn_tf/_schedule
        idefn_tf/_types idefn_tf/optimizers/keras_options idefn_tf/transport/options""",
    "idefn_tf/test_registry": "idefn_tf/_registry idefn_tf/models/registry",
    "idefn_tf/test_graph_form": "idefn_tf/_graph_form",
    "idefn_tf/test_shared_programs": "idefn_tf/_shared_programs idefn_tf/_tensorflow_private",
    "idefn_tf/transport/test_match": "idefn_tf/_checks",
    "idefn_tf/transport/test_plan": "idefn_tf/transport/status",
    "idefn_tf/transport/reference/test_proximal_loop": """idefn_tf/transport/full_problem
        idefn_tf/transport/reference/greenkhorn""",
    "idefn_tf/transport/rpot/test_rpot": """idefn_tf/transport/rpot/batch_program
        idefn_tf/transport/rpot/matches idefn_tf/transport/rpot/positive_memory
        idefn_tf/transport/rpot/positives idefn_tf/transport/rpot/running_mean""",
    "idefn_tf/transport/solvers/test_proximal": """idefn_tf/transport/solvers/finish
        idefn_tf/transport/solvers/kernel idefn_tf/transport/solvers/newton""",
    "idefn_tf/transport/solvers/test_sinkhorn": "idefn_tf/transport/solvers/log_domain_blocks",
    "pipelines/experiment/test_history_snapshot": """pipelines/experiment/stale_history
    idefn_tf/history/kept_history
        pipelines/experiment/event_sources""",
    "pipelines/datasets/test_ali_ccp": """pipelines/datasets/ali_ccp/ali_ccp
        pipelines/datasets/ali_ccp/ali_ccp_files pipelines/preparation/wide_joins""",
    "pipelines/datasets/test_ali_ccp_lines": "pipelines/datasets/ali_ccp/ali_ccp_lines",
    "pipelines/datasets/test_number_words": """pipelines/datasets/ali_ccp/entry_order
        pipelines/datasets/ali_ccp/number_words""",
    "pipelines/datasets/test_kuairand_pure": "pipelines/preparation/lookup_tables",
    "pipelines/datasets/test_simulated_funnel": """
        pipelines/datasets/simulated_funnel/funnel_options
        pipelines/datasets/simulated_funnel/funnel_world
        pipelines/datasets/simulated_funnel/observed_features
        pipelines/datasets/simulated_funnel/simulated_funnel""",
    "pipelines/experiment/test_config": """pipelines/experiment/config_origin
        pipelines/experiment/config_schema""",
    "pipelines/experiment/test_interruption": "pipelines/experiment/checkpoint",
    "pipelines/experiment/test_training_monitor": "pipelines/experiment/audit_warnings",
    "pipelines/experiment/test_run_folder": "idefn_tf/export/run_files",
    "pipelines/experiment/test_user_modules": "idefn_tf/export/user_modules",
    "pipelines/experiment/test_warm_start": "pipelines/preparation/attribution_window",
    "pipelines/preparation/test_checks": """pipelines/preparation/encode
        pipelines/preparation/findings""",
    "pipelines/preparation/test_lists": "idefn_tf/data/list_tensors idefn_tf/schema/lists",
    "pipelines/preparation/test_object_store": "pipelines/preparation/prepared_folder",
    "pipelines/preparation/test_spark": "pipelines/preparation/engines",
    "pipelines/preparation/test_times": "idefn_tf/schema/zones",
    "pipelines/reports/test_delays_section": "pipelines/reports/sections/delays",
    "pipelines/reports/test_history_section": """pipelines/reports/permutation_importance
        pipelines/reports/sections/history_section pipelines/reports/sections/importance""",
    "pipelines/experiment/test_asked_policy": "pipelines/cli/policy_table",
    "pipelines/reports/test_numbers": """pipelines/reports/intervals
        pipelines/reports/populations pipelines/reports/rows pipelines/reports/train_batch
        pipelines/reports/sections/embedding pipelines/reports/sections/gain
        pipelines/reports/sections/loss_rows pipelines/reports/sections/reliability
        pipelines/reports/sections/slices pipelines/reports/sections/transport_plan""",
    "pipelines/reports/test_page": """pipelines/report pipelines/reports/drawing
        pipelines/reports/material pipelines/reports/sections/by_space
        pipelines/reports/sections/comparison pipelines/reports/sections/data_card
        pipelines/reports/sections/learning pipelines/reports/sections/pseudo_labels
        pipelines/reports/sections/run_settings pipelines/reports/sections/scores""",
    "pipelines/reports/test_stream_curves": "pipelines/reports/sections/stream_curves",
    "pipelines/schema_inference/test_profile": """pipelines/schema_inference/column_sides
        pipelines/schema_inference/feature_choice pipelines/schema_inference/label_columns
        pipelines/schema_inference/leaks""",
    "pipelines/schema_inference/test_proposal": """pipelines/schema
        pipelines/schema_inference/proposal_yaml""",
    "pipelines/test_audit": "pipelines/experiment/hidden_clicks",
    "pipelines/test_prepare": """pipelines/datasets/registry
        pipelines/preparation/job pipelines/preparation/raw_log""",
    "pipelines/streaming/test_row_delta": "pipelines/streaming/hours",
    "pipelines/test_stream": """pipelines/streaming/learner
        pipelines/streaming/stream_page""",
    "pipelines/test_train": """pipelines/evaluate pipelines/experiment/build
        pipelines/experiment/evaluation""",
    "pipelines/tuning/test_search": "pipelines/tune pipelines/tuning/trials",
    "serving/server/codec/test_document": "serving/server/json_text",
    "serving/server/codec/test_stacked_tensors": "serving/server/runtime/stacked_arrays",
    "serving/server/codec/test_tensors": "serving/server/codec/exact_tensors",
    "serving/server/rest/test_conformance": """serving/server/rest/preparation
        serving/server/rest/routes""",
    "serving/server/rest/test_limits": "serving/server/rest/request_body",
    "serving/server/rest/test_whole_requests": "serving/server/rest/corked_transport",
    "serving/server/rest/test_security": "serving/server/rest/tls",
    "serving/server/rpc/test_rpc": """serving/server/rpc/calls serving/server/rpc/parse
        serving/server/rpc/predict_call""",
    "serving/server/runtime/test_batching": """serving/server/runtime/batch_execution
        serving/server/runtime/row_independence
        serving/server/runtime/servable serving/server/runtime/signature
        serving/server/runtime/stacking""",
    "serving/server/test_lifecycle": """serving/server/models/folders
        serving/server/models/manager serving/server/models/versions""",
    "serving/common/test_onnx_connection": "serving/common/connect",
    "serving/test_history_requests": """serving/common/history_requests
        serving/common/skew_of_history""",
    "serving/test_sent_history": "serving/common/event_lists",
    "serving/test_load": "serving/common/load_generator serving/common/load_memory",
    "serving/test_promote": """serving/common/await_server serving/common/config_text
        serving/common/models_config""",
    "system/test_cell_files": """pipelines/preparation/plain_files
        pipelines/preparation/time_units""",
    "system/test_cells": "pipelines/preparation/column_kinds",
    "system/test_own_table": "pipelines/datasets/table/table pipelines/preparation/text_forms",
}
#: Data without logic.
DATA = {
    "pipelines/reports/style": "colours and a style sheet",
    "serving/server/__main__": "a command line that test_lifecycle starts",
}
SOURCES = {
    str(path.relative_to(ROOT).with_suffix(""))
    for package in PACKAGES
    for path in (ROOT / package).rglob("*.py")
    if path.name != "__init__.py"
}
HELD = {source: test for test, sources in HOLDS.items() for source in sources.split()}


def mirror(source):
    folder, _, name = source.rpartition("/")
    return ROOT / "tests" / folder / f"test_{name}.py"


@pytest.mark.parametrize("source", sorted(SOURCES))
def test_a_source_file_has_its_test(source):
    named = [mirror(source).is_file(), source in HELD, source in DATA]
    assert sum(named) == 1, f"{source}: {mirror(source).relative_to(ROOT)}, or a place in this map"


def test_the_map_names_what_is_there():
    assert not (set(HELD) | set(DATA)) - SOURCES
    assert sum(len(sources.split()) for sources in HOLDS.values()) == len(HELD)
    for test in HOLDS:
        assert (ROOT / "tests" / f"{test}.py").is_file(), test
