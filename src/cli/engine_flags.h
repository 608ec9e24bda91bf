// EngineFlags: the flags of every command that has an engine, made from EngineArgs::table().
#pragma once

#include <deque>
#include <initializer_list>
#include <string>
#include <string_view>

#include "wde/engine_args.h"

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace wde::cli {

class EngineFlags {
 public:
  // One flag a line of the table but for "task", which the command decides, and those that it has a way of its own for.
  void add_to(CLI::App& app, std::initializer_list<std::string_view> except = {});
  // What was given, and below it the environment; plug-ins are loaded. Throws UsageError: a value that cannot be, or no
  // model; LoadError: a plug-in.
  EngineArgs args(std::string_view task) const;
  // The same without the demand for a model.
  EngineArgs args_without_model(std::string_view task) const;

 private:
  struct Flag {
    std::string name;
    std::string value;
    CLI::Option* option = nullptr;
  };
  std::deque<Flag> flags_;  // CLI11 keeps pointers to the values
};

}  // namespace wde::cli
