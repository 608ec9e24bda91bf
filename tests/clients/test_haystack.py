from haystack import Document
from haystack.components.embedders import OpenAITextEmbedder
from haystack_integrations.components.embedders.huggingface_api import HuggingFaceAPIDocumentEmbedder, HuggingFaceAPITextEmbedder
from haystack_integrations.components.rankers.huggingface_api import HuggingFaceTEIRanker
from haystack.utils import Secret

from expected import ADDRESS, QUERY, TEXTS, all_close, main, same_ranking, vectors


def test_tei_embedders():
    options = {"api_type": "text_embeddings_inference", "api_params": {"url": ADDRESS}, "token": None, "normalize": True}
    all_close([HuggingFaceAPITextEmbedder(**options).run(TEXTS[0])["embedding"]], vectors(TEXTS[:1]))
    documents = HuggingFaceAPIDocumentEmbedder(**options, progress_bar=False).run([Document(content=t) for t in TEXTS])
    all_close([d.embedding for d in documents["documents"]], vectors(TEXTS))


def test_openai_embedder():
    client = OpenAITextEmbedder(api_key=Secret.from_token("any"), api_base_url=ADDRESS + "/v1", model="served")
    all_close([client.run(TEXTS[0])["embedding"]], vectors(TEXTS[:1]))


def test_tei_ranker():
    client = HuggingFaceTEIRanker(url=ADDRESS, token=None, top_k=3)
    found = client.run(query=QUERY, documents=[Document(content=t) for t in TEXTS])["documents"]
    same_ranking([(TEXTS.index(d.content), d.score) for d in found])


if __name__ == "__main__":
    main(globals())
