// The files of late-interaction models, which give a vector for every token: Stanford's ColBERT (artifact.metadata),
// PyLate's ColBERT and sentence-transformers' MultiVectorEncoder (modules.json with a Dense on the tokens' vectors).
// Gives data only; input, head and output are made from it.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "loader/config.h"
#include "loader/module_entry.h"

namespace wde {

struct LateInteraction {
  // Queries and documents are treated differently.
  struct Side {
    // Inserted as one token behind the first special one; where the vocabulary has neither it nor its first word, it is
    // text like a prompt.
    std::string marker;
    size_t max_length = 0;  // tokens, special ones and marker included; 0: the model's maximum
  };
  Side query, document;

  // Queries are filled up to so many tokens with one whose vectors count like the others; 0: they are not.
  size_t fill_to = 0;
  bool fill_is_seen = false;  // the text's tokens attend to those that fill up
  std::string fill_token;     // "": the tokenizer's mask token, else what ends a text

  std::vector<std::string> skipped_words;  // tokens whose vectors are dropped ...
  bool skip_in_queries = false, skip_in_documents = true;

  std::vector<DenseSpec> dense;       // on each token's hidden state, one behind the other
  bool linear_in_checkpoint = false;  // instead: linear.weight beside the transformer's tensors
  bool normalize = true;              // each vector has length 1
  bool mean = false;                  // the score is the mean of the query's best products instead of their sum
};

// config.json's architecture is Stanford's, whatever the transformer in it is.
bool is_stanford_colbert(const ConfigView& config);
// `directory`: of config.json and artifact.metadata. Throws LoadError.
LateInteraction read_stanford_colbert(const std::string& directory);

// config_sentence_transformers.json says so: by its model_type, or by keys that only PyLate writes.
bool is_late_interaction(const ConfigView& config);
// `modules`: all of modules.json; `config`: config_sentence_transformers.json; `transformer`: the file of the
// Transformer's own settings, if there is one. Throws LoadError.
LateInteraction read_late_interaction(const ConfigView& config, const std::optional<ConfigView>& transformer,
                                      const std::vector<ModuleEntry>& modules, size_t hidden_size);

}  // namespace wde
