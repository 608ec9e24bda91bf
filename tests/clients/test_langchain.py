from huggingface_hub import InferenceClient
from langchain_community.embeddings import InfinityEmbeddings
from langchain_huggingface import HuggingFaceEndpointEmbeddings
from langchain_openai import OpenAIEmbeddings

from expected import ADDRESS, TEXTS, all_close, main, vectors


def test_openai():
    client = OpenAIEmbeddings(base_url=ADDRESS + "/v1", api_key="any", model="served", check_embedding_ctx_length=False)
    all_close(client.embed_documents(TEXTS), vectors(TEXTS))
    all_close([client.embed_query(TEXTS[0])], vectors(TEXTS[:1]))


def test_openai_token_ids_are_refused_with_the_way_out():
    client = OpenAIEmbeddings(base_url=ADDRESS + "/v1", api_key="any", model="text-embedding-3-small")
    try:
        client.embed_documents(TEXTS)
        raise AssertionError
    except Exception as error:  # noqa: BLE001  tiktoken may not reach its files without a network
        assert "check_embedding_ctx_length" in str(error) or "tiktoken" in str(error) or "onnect" in str(error), error


def test_huggingface_endpoint():
    # This class takes no address any more, but the client that it asks through does.
    client = HuggingFaceEndpointEmbeddings(model="any/model", huggingfacehub_api_token="any")
    client.client = InferenceClient(model=ADDRESS)
    all_close(client.embed_documents(TEXTS), vectors(TEXTS))
    all_close([client.embed_query(TEXTS[0])], vectors(TEXTS[:1]))


def test_infinity():
    client = InfinityEmbeddings(model="served", infinity_api_url=ADDRESS + "/infinity")
    all_close(client.embed_documents(TEXTS), vectors(TEXTS))


if __name__ == "__main__":
    main(globals())
