// POST / as Hugging Face's inference clients ask it, in Python and JavaScript: TEI's routes but for one shape.
#include "server/dialects/routes.h"

namespace wde::server {

// The labels of a lone text are within a list of texts there, as transformers' pipelines give them; TEI's are not.
Plan plan_hub_default(const PlanContext& context) {
  Plan plan = plan_tei_default(context);
  const bool labels = plan.task == task::kClassify || plan.task == task::kScore;
  if (!labels || plan.batch || !plan.write) return plan;
  plan.write = [write = std::move(plan.write)](Answer& answer, HttpResponse& response) {
    write(answer, response);
    response.body = '[' + response.body + ']';
  };
  return plan;
}

}  // namespace wde::server
