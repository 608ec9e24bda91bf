"""KServe's Open Inference Protocol through Triton's HTTP client, whose tensors are bytes after the JSON unless told otherwise."""
import numpy as np
import tritonclient.http as triton

from expected import ADDRESS, TEXTS, all_close, main, vectors

client = triton.InferenceServerClient(ADDRESS.removeprefix("http://"))


def tensor(texts, binary):
    found = triton.InferInput("text", [len(texts)], "BYTES")
    found.set_data_from_numpy(np.array([t.encode() for t in texts], dtype=np.object_), binary_data=binary)
    return found


def test_server():
    assert client.is_server_live() and client.is_server_ready() and client.is_model_ready("served")
    assert client.get_server_metadata()["extensions"] == ["binary_tensor_data"]
    found = client.get_model_metadata("served")
    assert found["inputs"] == [{"name": "text", "datatype": "BYTES", "shape": [-1]}], found
    assert found["outputs"][0]["shape"] == [-1, len(vectors(TEXTS)[0])], found


def test_infer():
    for binary in [True, False]:
        outputs = [triton.InferRequestedOutput("embedding", binary_data=binary)]
        for wanted in [outputs, None]:
            found = client.infer("served", [tensor(TEXTS, binary)], outputs=wanted, request_id="7")
            assert found.get_response()["id"] == "7"
            all_close(found.as_numpy("embedding").tolist(), vectors(TEXTS))
    found = client.infer("served", [tensor(TEXTS, True)], model_version="1", parameters={"dimensions": 16, "normalize": True})
    assert found.as_numpy("embedding").shape == (3, 16)


def test_errors():
    for inputs, word in [([triton.InferInput("text", [1], "FP32")], "BYTES"), ([tensor(["a"], True)], "none")]:
        try:
            if word == "BYTES":
                inputs[0].set_data_from_numpy(np.zeros(1, np.float32))
            client.infer("served", inputs, outputs=[triton.InferRequestedOutput("none")] if word == "none" else None)
            raise AssertionError
        except triton.InferenceServerException as error:
            assert word in str(error), error


if __name__ == "__main__":
    main(globals())
