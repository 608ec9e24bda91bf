// Late interaction (ColBERT) in an engine: what its model's files say, in the tokenizer's ids; and MaxSim, the score of
// a pair by the vectors of its two texts.
#pragma once

#include <array>
#include <memory>
#include <string>

#include "input/input_processor.h"
#include "loader/late_interaction.h"
#include "tokenizer/tokenizer.h"
#include "wde/engine.h"

namespace wde {

// By Side. `directory`: of the tokenizer's files. Throws LoadError: there is no token that could fill up queries.
std::array<SideRules, 2> side_rules(const LateInteraction& late, const Tokenizer& tokenizer,
                                    const std::string& directory);
// In words, for `wde doctor`.
std::string describe(const LateInteraction& late);

// Answers pairs, of which it sends both texts to `vectors`, an engine that answers multi_vector; a query that stands in
// many pairs of a group (Request::group) is computed once. `mean`: of the query's best products, else their sum.
std::unique_ptr<Engine> make_max_sim_engine(std::unique_ptr<Engine> vectors, bool mean);
// The engine behind one that make_max_sim_engine() made; any other itself.
const Engine* without_max_sim(const Engine* engine);

// For each of the query's vectors the highest product with one of the document's. [rows, columns] both.
float max_sim(const Output& query, const Output& document, bool mean);

}  // namespace wde
