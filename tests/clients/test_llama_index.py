from llama_index.core.schema import NodeWithScore, TextNode
from llama_index.embeddings.openai_like import OpenAILikeEmbedding
from llama_index.embeddings.text_embeddings_inference import TextEmbeddingsInference
from llama_index.postprocessor.tei_rerank import TextEmbeddingInference as TeiRerank

from expected import ADDRESS, QUERY, TEXTS, all_close, main, same_ranking, vectors


def test_tei():
    client = TextEmbeddingsInference(model_name="served", base_url=ADDRESS, text_instruction=" ", query_instruction=" ")
    all_close(client.get_text_embedding_batch(TEXTS), vectors(TEXTS), 1e-4)


def test_openai_like():
    client = OpenAILikeEmbedding(model_name="served", api_base=ADDRESS + "/v1", api_key="any")
    all_close(client.get_text_embedding_batch(TEXTS), vectors(TEXTS))
    all_close([client.get_query_embedding(TEXTS[0])], vectors(TEXTS[:1]))


def test_tei_rerank():
    client = TeiRerank(base_url=ADDRESS, top_n=3)
    nodes = [NodeWithScore(node=TextNode(text=text)) for text in TEXTS]
    found = client.postprocess_nodes(nodes, query_str=QUERY)
    contents = [node.node.get_content(metadata_mode="embed") for node in found]
    same_ranking([(TEXTS.index(text), node.score) for text, node in zip(contents, found)])


if __name__ == "__main__":
    main(globals())
