#include "cli/command.h"

namespace wde::cli {

std::vector<std::unique_ptr<Command>> all_commands() {
  std::vector<std::unique_ptr<Command>> commands;
  commands.push_back(make_embed_command());
  commands.push_back(make_hidden_command());
  commands.push_back(make_score_command());
  commands.push_back(make_rerank_command());
  commands.push_back(make_classify_command());
  commands.push_back(make_token_classify_command());
  commands.push_back(make_sparse_command());
  commands.push_back(make_multi_vector_command());
  commands.push_back(make_tokenize_command());
  commands.push_back(make_serve_command());
  commands.push_back(make_bench_command());
  commands.push_back(make_pull_command());
  commands.push_back(make_ls_command());
  commands.push_back(make_rm_command());
  commands.push_back(make_models_command());
  commands.push_back(make_doctor_command());
  return commands;
}

}  // namespace wde::cli
