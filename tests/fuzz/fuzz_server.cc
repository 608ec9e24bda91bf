// Bodies of HTTP requests to plans: the first byte chooses the route, the second the model, the rest is the body.
// Only ApiError may come out, and what a plan asks of the engine is within bounds.
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>

#include "server/dialects/routes.h"
#include "server/serving/group.h"

namespace {

using namespace wde::server;

std::shared_ptr<ModelFacts> model(const char* made_for) {
  auto facts = std::make_shared<ModelFacts>();
  facts->name = made_for;
  facts->default_task = made_for;
  facts->tasks = {"embed", "token_embed", "sparse", "multi_vector", "score", "classify", "token_classify"};
  facts->info.dimensions = 16;
  facts->info.max_length = 64;
  facts->info.prompts = {{"query", "q: "}, {"document", "d: "}};
  return facts;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const std::shared_ptr<ModelFacts> models[] = {model("embed"), model("score"), model("classify"),
                                                       model("sparse")};
  if (size < 2) return 0;
  const Route& route = all_routes()[data[0] % all_routes().size()];
  std::string body(reinterpret_cast<const char*>(data) + 2, size - 2);
  HttpRequest http;
  http.path = std::string(route.path);
  ApiRules rules;
  rules.max_inputs = 64;
  rules.native_token_input = (data[1] & 16) != 0;
  rules.auto_truncate = (data[1] & 32) != 0;
  try {
    const JsonDocument document(body);
    const PlanContext context{http, document.root(), route.dialects[0], rules,
                              [&](std::string_view, TaskList) { return models[data[1] % 4]; }};
    const Plan plan = make_plan(route.planner, context);
    // A query and as many documents as there may be; pairs of /score have two sides.
    if (plan.requests.size() > 2 * rules.max_inputs + 1 || !plan.model || !(plan.write || plan.next)) std::abort();
    for (const wde::Request& request : plan.requests) {
      if (request.dimensions > 16 || bytes_of(request) > size * 8) std::abort();
      (void)characters_of(request);
    }
  } catch (const ApiError& error) {
    const HttpResponse response = error_response(error, route.errors);
    if (response.status < 400 || response.body.empty()) std::abort();
  }
  return 0;
}
