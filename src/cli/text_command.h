// TextCommand: a command that answers every text with a row. What differs between such commands is data: TextTask.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "cli/command.h"
#include "cli/engine_flags.h"
#include "cli/io_flags.h"
#include "cli/row_writer.h"
#include "wde/engine.h"

namespace wde::cli {

// What the user asked for by flags that only some tasks have.
struct TextFlags {
  bool raw = false;
  std::string aggregation = "simple";
};

struct TextTask {
  std::string command;
  std::string task;  // of EngineArgs
  std::string summary;
  std::string examples;
  std::vector<std::string> formats = {"jsonl", "npy", "text"};  // the first is the default
  JsonFields json_fields = append_output_fields;
  // Instead, where the fields depend on the model's labels or on flags.
  std::function<JsonFields(const EngineInfo&, const TextFlags&)> make_fields;
  bool raw_flag = false;  // --raw: before the activation
  bool aggregation_flag = false;
  bool embedding_flags = false;  // --dimensions, --normalize, --all
  bool images = false;           // --image
  bool pairs = false;            // two TEXT arguments are a query and a document
  TextLines text_lines = append_output_lines;
  // A row of numbers for every token: such a result is large, text blocks are separated by a blank line, and an array
  // can hold only one text.
  bool row_per_token = false;
  // Bytes of the result for every byte of text where that is much and there is no limit of tokens, else 0.
  size_t result_bytes_per_text_byte = 0;
};

class TextCommand : public Command {
 public:
  explicit TextCommand(TextTask task) : task_(std::move(task)) {}
  std::string name() const override { return task_.command; }
  std::string summary() const override { return task_.summary; }
  std::string examples() const override { return task_.examples; }
  void add_flags(CLI::App& app) override;
  bool takes_texts() const override { return true; }
  void set_texts(std::vector<std::string> texts) override { input_flags_.set_texts(std::move(texts)); }
  int run() override;

 private:
  void ask_for_all();
  std::unique_ptr<RowWriter> make_writer(OutputSink& sink, const EngineInfo& info) const;
  void set_options(Request& request) const;

  TextTask task_;
  EngineFlags engine_flags_;
  InputFlags input_flags_;
  OutputFlags output_flags_;
  TextFlags flags_;
  size_t dimensions_ = 0;
  bool all_ = false;
  std::string normalize_ = "auto";
};

}  // namespace wde::cli
