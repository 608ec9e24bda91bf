#include "cli/help_formatter.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace wde::cli {
namespace {

constexpr size_t kPageWidth = 110;
constexpr size_t kNameColumn = 30;

}  // namespace

std::string wrap(std::string_view text, size_t indent, size_t width) {
  std::string out;
  size_t column = indent;
  while (!text.empty()) {
    const size_t length = std::min(text.find(' '), text.size());
    if (column > indent && column + 1 + length > width) {
      out += '\n';
      out.append(indent, ' ');
      column = indent;
    } else if (column > indent) {
      out += ' ';
      ++column;
    }
    out += text.substr(0, length);
    column += length;
    text.remove_prefix(std::min(length + 1, text.size()));
  }
  return out;
}

HelpFormatter::HelpFormatter() {
  column_width(kNameColumn);
  label("Positionals", "Arguments");
}

std::string HelpFormatter::make_help(const CLI::App* app, std::string name, CLI::AppFormatMode mode) const {
  std::string help = CLI::Formatter::make_help(app, std::move(name), mode);
  // CLI11 leaves two blank lines between groups.
  for (size_t at = help.find("\n\n\n"); at != std::string::npos; at = help.find("\n\n\n", at)) help.erase(at, 1);
  return help;
}

std::string HelpFormatter::make_option(const CLI::Option* option, bool is_positional) const {
  std::string left = "  " + make_option_name(option, is_positional);
  if (!is_positional) left += make_option_opts(option);
  if (left.size() + 2 > kNameColumn) {
    left += '\n';
    left.append(kNameColumn, ' ');
  } else {
    left.resize(kNameColumn, ' ');
  }
  return left + wrap(option->get_description(), kNameColumn, kPageWidth) + "\n";
}

std::string HelpFormatter::make_usage(const CLI::App* app, std::string name) const {
  if (app->get_parent() == nullptr) return fmt::format("Usage: {} COMMAND [OPTIONS]\n", name);
  std::string positionals;
  for (const CLI::Option* option : app->get_options([](const CLI::Option* o) { return o->get_positional(); })) {
    positionals += option->get_required() ? " " + option->get_name() : fmt::format(" [{}...]", option->get_name());
  }
  return fmt::format("Usage: {} [OPTIONS]{}\n", name, positionals);
}

}  // namespace wde::cli
