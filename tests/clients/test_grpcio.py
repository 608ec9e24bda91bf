"""TEI's gRPC through grpcio, every method: the same values as over HTTP, and the same refusals."""
import os
import pathlib
import re
import sys
import tempfile
import threading
import time

from expected import ADDRESS, QUERY, TEXTS, all_close, ask, close, main, vectors

if not os.environ.get("WDE_GRPC_ADDRESS"):
    print("skipped: this wde has no wde_grpc.so (cmake -DWDE_GRPC=ON)")
    sys.exit(0)

import grpc
from grpc_tools import protoc
from serving import DATA, Server

stubs = tempfile.TemporaryDirectory()
source = pathlib.Path(__file__).resolve().parents[2] / "src" / "grpc"
assert protoc.main(["", f"-I{source}", f"--python_out={stubs.name}", f"--grpc_python_out={stubs.name}", "tei.proto"]) == 0
sys.path.insert(0, stubs.name)
import tei_pb2 as pb
import tei_pb2_grpc as rpc

channel = grpc.insecure_channel(os.environ["WDE_GRPC_ADDRESS"])
embed, rank, words = rpc.EmbedStub(channel), rpc.RerankStub(channel), rpc.TokenizeStub(channel)


def fails(code, word, call, *arguments, **more):
    try:
        answer = call(*arguments, **more)
        list(answer) if hasattr(answer, "__next__") else None
    except grpc.RpcError as error:
        assert error.code() == code, (error.code(), error.details())
        assert word in error.details(), error.details()
        return error
    raise AssertionError(f"no {code}")


def server(*models, flags=()):
    """Another server, with models of the golden tests, and a channel to it."""
    started = Server(*[DATA / m for m in models], flags=["--grpc-port", "0", *flags])
    address = re.search(r"gRPC on (\S+)", started.log())[1]
    return started, grpc.insecure_channel(address)


def test_info():
    found = rpc.InfoStub(channel).Info(pb.InfoRequest())
    assert found.model_type == pb.MODEL_TYPE_EMBEDDING and found.model_dtype == "float32", found
    assert found.max_client_batch_size == 2048 and found.max_concurrent_requests == 512, found


def test_embed():
    for text, vector in zip(TEXTS, vectors(TEXTS)):
        found = embed.Embed(pb.EmbedRequest(inputs=text, truncate=True))
        close(found.embeddings, vector)
        assert found.metadata.compute_chars == len(text) and found.metadata.compute_tokens > 3, found.metadata
        assert 0 < found.metadata.inference_time_ns < found.metadata.total_time_ns, found.metadata
    body = {"inputs": TEXTS[0], "dimensions": 32}
    close(embed.Embed(pb.EmbedRequest(inputs=TEXTS[0], dimensions=32)).embeddings, ask("/embed", body)[0])
    close(embed.Embed(pb.EmbedRequest(inputs=TEXTS[0], normalize=False)).embeddings, ask("/embed", {"inputs": TEXTS[0], "normalize": False})[0])


def test_embed_all():
    found = embed.EmbedAll(pb.EmbedAllRequest(inputs=TEXTS[1]))
    all_close([t.embeddings for t in found.token_embeddings], ask("/embed_all", {"inputs": TEXTS[1]})[0], 1e-4)


def test_streams_keep_their_order():
    texts = [f"{text} {i}" for i in range(100) for text in TEXTS]
    found = list(embed.EmbedStream(pb.EmbedRequest(inputs=t) for t in texts))
    all_close([f.embeddings for f in found], vectors(texts))
    # One at a time: each answer comes before the next question is sent.
    answers = None

    def slowly():
        for i, text in enumerate(TEXTS):
            while i > 0 and len(seen) < i:
                time.sleep(0.01)
            yield pb.EmbedRequest(inputs=text)

    seen = []
    for answer in embed.EmbedStream(slowly()):
        seen.append(answer.embeddings)
    all_close(seen, vectors(TEXTS))
    assert list(embed.EmbedStream(iter([]))) == []


def test_a_stream_ends_with_its_first_error():
    stream = embed.EmbedStream(pb.EmbedRequest(inputs=t) for t in ["one", "two", "", "four"])
    found = []
    error = fails(grpc.StatusCode.INVALID_ARGUMENT, "empty", lambda: found.extend(a for a in stream))
    assert len(found) in (0, 2), found  # extend() keeps nothing of what it could not finish
    assert error is not None


def test_rerank():
    expected = ask("/tei/rerank", {"query": QUERY, "texts": TEXTS, "return_text": True})
    found = rank.Rerank(pb.RerankRequest(query=QUERY, texts=TEXTS, return_text=True))
    assert [(r.index, r.text) for r in found.ranks] == [(e["index"], e["text"]) for e in expected]
    close([r.score for r in found.ranks], [e["score"] for e in expected])
    found = rank.RerankStream(pb.RerankStreamRequest(query=QUERY, text=t) for t in TEXTS)
    assert [r.index for r in found.ranks] == [e["index"] for e in expected]
    assert not found.ranks[0].HasField("text")
    close([r.score for r in found.ranks], [e["score"] for e in expected])
    found = rank.RerankStream(pb.RerankStreamRequest(query=q, text=t) for q, t in zip(reversed(TEXTS), TEXTS))
    each = [row["score"] for row in ask("/score", {"text_1": list(reversed(TEXTS)), "text_2": TEXTS})["data"]]
    close([r.score for r in sorted(found.ranks, key=lambda r: r.index)], each)


def test_tokens():
    text = "Größe 北京"
    expected = ask("/tokenize", {"inputs": text})[0]
    found = words.Tokenize(pb.EncodeRequest(inputs=text, add_special_tokens=True)).tokens
    assert [(t.id, t.text, t.special) for t in found] == [(e["id"], e["text"], e["special"]) for e in expected]
    assert [text[t.start:t.stop] for t in found if not t.special] == [t.text for t in found if not t.special]
    assert not found[0].HasField("start")
    ids = [t.id for t in found]
    decoded = words.Decode(pb.DecodeRequest(ids=ids, skip_special_tokens=True)).text
    assert decoded == ask("/decode", {"ids": ids})[0], decoded
    assert [t.text for t in words.DecodeStream(pb.DecodeRequest(ids=ids, skip_special_tokens=True) for _ in range(3))] == [decoded] * 3
    plain = words.Tokenize(pb.EncodeRequest(inputs=text)).tokens
    assert [t.id for t in plain] == ids[1:-1]


def test_other_models():
    started, other = server("bert-classify", "bert-cross-encoder", "bge-m3")
    with started:
        predict = rpc.PredictStub(other)
        for raw in [False, True]:
            expected = started.post("/predict", {"inputs": "a text", "raw_scores": raw}).json
            found = predict.Predict(pb.PredictRequest(inputs="a text", raw_scores=raw))
            assert [p.label for p in found.predictions] == [e["label"] for e in expected]
            close([p.score for p in found.predictions], [e["score"] for e in expected])
        name = (("model", "bert-cross-encoder"),)
        found = predict.PredictPair(pb.PredictPairRequest(inputs=["a cat", "the cat sat"]), metadata=name)
        expected = started.post("/v1/rerank", {"model": "bert-cross-encoder", "query": "a cat", "documents": ["the cat sat"]}).json
        close([found.predictions[0].score], [expected["results"][0]["relevance_score"]])
        fails(grpc.StatusCode.INVALID_ARGUMENT, "two texts", predict.PredictPair, pb.PredictPairRequest(inputs=["a"]))
        pairs = [pb.PredictPairRequest(inputs=["a cat", text]) for text in TEXTS]
        assert len(list(predict.PredictPairStream(iter(pairs), metadata=name))) == 3
        expected = started.post("/embed_sparse", {"model": "bge-m3", "inputs": "a text"}).json[0]
        found = rpc.EmbedStub(other).EmbedSparse(pb.EmbedSparseRequest(inputs="a text"), metadata=(("model", "bge-m3"),))
        assert [v.index for v in found.sparse_embeddings] == [e["index"] for e in expected]
        close([v.value for v in found.sparse_embeddings], [e["value"] for e in expected])
        fails(grpc.StatusCode.FAILED_PRECONDITION, "bert-classify", rpc.EmbedStub(other).EmbedSparse,
              pb.EmbedSparseRequest(inputs="a"), metadata=(("model", "bert-classify"),))
        fails(grpc.StatusCode.NOT_FOUND, "none", predict.Predict, pb.PredictRequest(inputs="a"), metadata=(("model", "none"),))


def test_refusals():
    invalid = grpc.StatusCode.INVALID_ARGUMENT
    fails(invalid, "empty", embed.Embed, pb.EmbedRequest())
    fails(invalid, "token", embed.Embed, pb.EmbedRequest(inputs="word " * 3000))
    embed.Embed(pb.EmbedRequest(inputs="word " * 3000, truncate=True))
    fails(invalid, "prompt_name", embed.Embed, pb.EmbedRequest(inputs="a", prompt_name="none"))
    fails(invalid, "dimensions", embed.Embed, pb.EmbedRequest(inputs="a", dimensions=100000))
    fails(invalid, "truncation_direction", embed.Embed, pb.EmbedRequest(inputs="a", truncation_direction=7))
    fails(invalid, "texts", rank.Rerank, pb.RerankRequest(query="a"))
    fails(grpc.StatusCode.RESOURCE_EXHAUSTED, "", embed.Embed, pb.EmbedRequest(inputs="x" * (20 << 20)))
    raw = channel.unary_unary("/tei.v1.Embed/Embed", request_serializer=bytes, response_deserializer=bytes)
    fails(invalid, "tei.v1.EmbedRequest", raw, b"\xff\xff\xff")
    other = channel.unary_unary("/tei.v1.Embed/Other", request_serializer=bytes, response_deserializer=bytes)
    fails(grpc.StatusCode.UNIMPLEMENTED, "/tei.v1.Embed/Other", other, b"")


def test_deadlines_and_clients_that_leave():
    long = "leaf " * 40
    # The client gives up, or the server has said before that there is not time enough.
    try:
        embed.Embed(pb.EmbedRequest(inputs=long, truncate=True), timeout=1e-4)
        raise AssertionError("0.1 ms were enough")
    except grpc.RpcError as error:
        said = error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED and "deadline" in error.details()
        assert said or error.code() == grpc.StatusCode.DEADLINE_EXCEEDED, (error.code(), error.details())
    left = [embed.Embed.future(pb.EmbedRequest(inputs=f"{long} {i}", truncate=True)) for i in range(50)]
    for call in left:
        call.cancel()
    stream = embed.EmbedStream(pb.EmbedRequest(inputs=f"{long} {i}", truncate=True) for i in range(1000))
    next(stream)
    stream.cancel()
    close(embed.Embed(pb.EmbedRequest(inputs=TEXTS[0])).embeddings, vectors(TEXTS[:1])[0])


def test_many_at_once():
    results = [None] * 16

    def run(i):
        with grpc.insecure_channel(os.environ["WDE_GRPC_ADDRESS"]) as own:
            results[i] = [f.embeddings for f in rpc.EmbedStub(own).EmbedStream(pb.EmbedRequest(inputs=t) for t in TEXTS * 5)]

    threads = [threading.Thread(target=run, args=(i,)) for i in range(16)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    expected = vectors(TEXTS) * 5
    for result in results:
        all_close(result, expected)


def test_silent_clients():
    started, other = server("bert-mean", flags=["--idle-timeout", "1"])
    with started:
        hold = threading.Event()

        def questions():
            yield pb.EmbedRequest(inputs="a")
            hold.wait(30)

        stream = rpc.EmbedStub(other).EmbedStream(questions())
        next(stream)
        fails(grpc.StatusCode.DEADLINE_EXCEEDED, "no message", lambda: next(stream))
        hold.set()
        rpc.EmbedStub(other).Embed(pb.EmbedRequest(inputs="a"))


def test_keys_health_metrics_and_the_end():
    started, other = server("bert-mean", flags=["--api-key", "secret"])
    with started:
        stub = rpc.EmbedStub(other)
        fails(grpc.StatusCode.UNAUTHENTICATED, "key", stub.Embed, pb.EmbedRequest(inputs="a"))
        fails(grpc.StatusCode.UNAUTHENTICATED, "key", rpc.InfoStub(other).Info, pb.InfoRequest())
        key = (("authorization", "Bearer secret"),)
        stub.Embed(pb.EmbedRequest(inputs="a"), metadata=key)
        assert rpc.InfoStub(other).Info(pb.InfoRequest(), metadata=key).model_id.endswith("bert-mean")
        check = other.unary_unary("/grpc.health.v1.Health/Check", request_serializer=bytes, response_deserializer=bytes)
        assert check(b"") == b"\x08\x01"  # SERVING, without a key
        assert check(b"\x0a\x0ctei.v1.Embed") == b"\x08\x01"
        fails(grpc.StatusCode.NOT_FOUND, "service", check, b"\x0a\x05other")
        call = stub.Embed.with_call(pb.EmbedRequest(inputs="a"), metadata=(*key, ("x-request-id", "mine")))[1]
        trailers = dict(call.trailing_metadata())
        assert trailers["x-request-id"] == "mine" and int(trailers["x-compute-tokens"]) == 3, trailers
        text = started.get("/metrics").body.decode()
        assert 'path="/tei.v1.Embed/Embed"' in text.replace("route=", "path="), [l for l in text.splitlines() if "tei.v1" in l]
        # An open stream does not keep the server from ending.
        waiting, hold = threading.Event(), threading.Event()

        def questions():
            yield pb.EmbedRequest(inputs="a")
            waiting.set()
            hold.wait(30)

        stream = stub.EmbedStream(questions(), metadata=key)
        next(stream)
        waiting.wait(10)
        begin = time.monotonic()
        started.stop()
        assert time.monotonic() - begin < 10
        fails(grpc.StatusCode.UNAVAILABLE, "", lambda: next(stream))
        hold.set()


if __name__ == "__main__":
    main(globals())
