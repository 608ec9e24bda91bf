// What Weaviate and KServe ask about the server and its models.
#include <fmt/format.h>

#include "server/dialects/platforms/kserve.h"
#include "server/serving/app.h"

namespace wde::server {
namespace {

constexpr std::string_view kKserve = "/v2", kKserveLive = "/v2/health/live", kKserveReady = "/v2/health/ready";
constexpr std::string_view kKserveModels = "/v2/models/";
constexpr std::string_view kLive = "/.well-known/live", kReady = "/.well-known/ready", kMeta = "/meta";

HttpResponse no_content() {
  HttpResponse response;
  response.status = 204;
  response.content_type.clear();
  return response;
}

HttpResponse ready_json(int status) {
  JsonOut out;
  out.open('{').key("ready").boolean(status == 200).close('}');
  HttpResponse response = App::json(out);
  response.status = status;
  return response;
}

void write_tensors(JsonOut& out, std::string_view key, const std::vector<KserveTensor>& tensors) {
  out.key(key).open('[');
  for (const KserveTensor& tensor : tensors) {
    out.open('{').key("name").plain(tensor.name).key("datatype").plain(tensor.datatype);
    out.key("shape").open('[').integer(-1);
    if (tensor.columns > 0) out.integer(static_cast<int64_t>(tensor.columns));
    out.close(']').close('}');
  }
  out.close(']');
}

// "NAME", "NAME/ready", "NAME/versions/1", "NAME/versions/1/ready": the name, and whether its readiness is asked for.
std::string_view model_of(std::string_view rest, bool& ready) {
  ready = rest.ends_with("/ready");
  if (ready) rest.remove_suffix(6);
  const size_t at = rest.rfind("/versions/");
  if (at == std::string_view::npos) return rest;
  if (rest.substr(at + 10) != kKserveVersion) {
    throw ApiError(Fault::kNoModel, fmt::format("models here have the version {} alone", kKserveVersion), "model");
  }
  return rest.substr(0, at);
}

}  // namespace

bool App::is_platform_path(std::string_view path, Dialect dialect) {
  if (dialect == Dialect::kWeaviate) return path == kLive || path == kReady || path == kMeta;
  if (dialect != Dialect::kPlain) return false;
  return path == kKserve || path == kKserveLive || path == kKserveReady ||
         (path.starts_with(kKserveModels) && path.size() > kKserveModels.size() && !path.ends_with("/infer"));
}

// Probes.
bool App::is_open_platform_path(std::string_view path) {
  return path == kLive || path == kReady || path == kKserveLive || path == kKserveReady;
}

HttpResponse App::answer_platform(std::string_view path) {
  if (path == kLive) return no_content();
  if (path == kReady) {
    HttpResponse response = health(Dialect::kPlain);
    return response.status == 200 ? no_content() : response;
  }
  if (path == kMeta) return one_model(models_.find("")->name);
  if (path == kKserveLive) {
    JsonOut out;
    out.open('{').key("live").boolean(true).close('}');
    return json(out);
  }
  if (path == kKserveReady) return ready_json(health(Dialect::kPlain).status);
  if (path == kKserve) {
    JsonOut out;
    out.open('{').key("name").plain("wde").key("version").text(version());
    out.key("extensions").open('[').plain("binary_tensor_data").close(']').close('}');
    return json(out);
  }
  bool ready = false;
  const std::string_view name = model_of(path.substr(kKserveModels.size()), ready);
  const std::shared_ptr<const ModelFacts> model = models_.find(name);  // throws what is no model, or not ready
  JsonOut out;
  out.open('{').key("name").text(model->name);
  if (ready) {
    out.key("ready").boolean(true);
  } else {
    const KserveSignature signature = kserve_signature(*model);
    out.key("versions").open('[').plain(kKserveVersion).close(']').key("platform").plain("wde");
    write_tensors(out, "inputs", signature.inputs);
    write_tensors(out, "outputs", signature.outputs);
  }
  out.close('}');
  return json(out);
}

}  // namespace wde::server
