// The smallest use of the library: loads a model, embeds the texts on the command line, prints the beginning of each
// vector.
//   wde-embed-example MODEL_DIRECTORY TEXT...
#include <cstdio>
#include <exception>
#include <future>
#include <memory>
#include <string>
#include <vector>

#include "wde/engine.h"

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(stderr, "usage: %s MODEL_DIRECTORY TEXT...\n", argv[0]);
    return 2;
  }
  try {
    wde::EngineArgs args;
    args.set("model", argv[1]).set("task", "embed");
    const std::unique_ptr<wde::Engine> engine = wde::Engine::create(args);

    // submit() returns at once: give the engine all there is, and it makes batches of it.
    std::vector<std::future<wde::Result<wde::Response>>> answers;
    for (int i = 2; i < argc; ++i) answers.push_back(engine->submit({std::string(argv[i]), {}}));

    int status = 0;
    for (size_t i = 0; i < answers.size(); ++i) {
      const wde::Result<wde::Response> answer = answers[i].get();
      if (!answer.ok()) {  // of this text alone; the others have their answers
        std::fprintf(stderr, "%s: %s\n", argv[i + 2], answer.error().message.c_str());
        status = 1;
        continue;
      }
      const std::vector<float>& vector = answer.value().outputs[0].values;
      std::printf("%s:", argv[i + 2]);
      for (size_t d = 0; d < 3 && d < vector.size(); ++d) std::printf(" %.4f", vector[d]);
      std::printf(" ... %zu numbers, %zu tokens\n", vector.size(), answer.value().tokens);
    }
    return status;
  } catch (const wde::UsageError& error) {  // the settings cannot work
    std::fprintf(stderr, "%s\n", error.what());
    return 2;
  } catch (const std::exception& error) {  // the model cannot be loaded
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
