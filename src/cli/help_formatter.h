// HelpFormatter: CLI11's help with descriptions wrapped to the page.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <string_view>

namespace wde::cli {

// `text` in lines of at most `width` columns, each after the first begun with `indent` spaces.
std::string wrap(std::string_view text, size_t indent, size_t width);

class HelpFormatter : public CLI::Formatter {
 public:
  HelpFormatter();
  std::string make_option(const CLI::Option* option, bool is_positional) const override;
  std::string make_help(const CLI::App* app, std::string name, CLI::AppFormatMode mode) const override;
  std::string make_usage(const CLI::App* app, std::string name) const override;
};

}  // namespace wde::cli
