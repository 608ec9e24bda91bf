// The entry: what this plug-in adds, and under which names.
#include "example.h"

#include "wde/plugin.h"
#include "workflow/workflow.h"

WDE_PLUGIN() {
  wde::ModelRegistry::instance().add(example::bag_of_words());
  wde::output_processors().add("mean_max", example::make_mean_max);
  // A workflow is data: that of `embed`, with another last stage.
  wde::Workflow workflow = wde::workflows().get("embed");
  workflow.help = "one vector a text: the mean of its tokens' vectors and their maximum, side by side";
  workflow.output_processor = "mean_max";
  wde::workflows().add("embed_mean_max", workflow);
}
