"""The embedded server, which speaks the REST and gRPC protocols of TensorFlow Serving.

    python -m serving.server --model_name cvr --model_base_path runs/demo/models/cvr

It answers as tensorflow_model_server 2.20 does, down to the texts of its errors and the digits of
its numbers; tests/serving/conformance holds the cases. Where it differs, it does so on purpose:

Requests
    Of two equal keys in a row of "instances" the first counts; there a mixture, row by row. (In
    other objects the first counts, as there.)
    An array of a rank or size that the signature does not allow is refused before it reaches the
    graph (400, "Cannot feed value of shape ..."); there the graph fails, or broadcasts it.
    Doubles are read exactly; its parser may be off by one unit in the last place (and so is this
    server where a body also has NaN or Infinity).
    Tensors of more than 32 dimensions are refused.
    Messages about a signature's form name the signature instead of printing it whole.
    Messages name a key, signature, model or address of more than 256 characters by its beginning
    and its length, and no message passes 16,384 characters; bytes that are not UTF-8 are U+FFFD in
    them. There they are sent back whole and as they came.
    float16 outputs are written.
gRPC
    --port opens it (there 8500 is open by itself): Predict, Classify, Regress,
    MultiInference, GetModelMetadata, GetModelStatus and the standard health check, which alone
    needs no token. The signatures of a MultiInference may have input tensors of their own.
    HandleReloadConfigRequest needs --allow_grpc_reload and a token, and takes base paths under
    those of the start. Certificates are read once, at the start.
    A tensor whose shape asks for more values than the largest body has bytes is refused.
    bfloat16, complex and quantized tensors are not read.
Limits, each with a flag
    Body 64 MiB (413), rows 100,000 (400), nesting 100,000 (400), pending requests 1,000 (503),
    connections 4,096 (503), time for a request's head 10 s and its body 30 s (408), head 64 KiB
    (431).
Running
    It listens on 127.0.0.1 unless --rest_api_address says otherwise, on port 8501; port 0 means a
    free port, which is printed ("ready http://127.0.0.1:40123").
    Requests are run together without --enable_batching wherever a trial at loading shows that the
    rows of a batch do not depend on each other; --enable_batching=false forbids it.
    A model that has no version or fails to load at the start ends the process with status 1 at
    once; there it waits, and tries again for minutes. Later failures are retried as there, and also
    as soon as the version's folder changes.
    A version of the export to ONNX (model.onnx) is served, too, where onnxruntime is installed, by
    the same names and messages; it has no signatures over tf.Example. There it fails to load.
    If all versions of a model vanish from disk, the last one goes on answering.
    The metrics page counts requests to configured models only.
    SIGTERM answers what has been accepted and ends with status 0.
"""
