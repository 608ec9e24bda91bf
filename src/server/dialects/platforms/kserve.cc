// KServe's Open Inference Protocol: POST /v2/models/NAME/infer, its tensors as JSON or, in Triton's extension, as bytes
// after the JSON.
#include "server/dialects/platforms/kserve.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstring>

#include "server/dialects/routes.h"
#include "server/dialects/shared/scoring.h"

namespace wde::server {
namespace {

using Type = JsonValue::Type;

constexpr int64_t kMaxTexts = 1 << 24;

struct Tensor {
  std::string name;
  std::vector<std::string> texts;
};

// A text is a 4-byte length, the lowest byte first, and that many bytes.
std::vector<std::string> read_bytes(std::string_view bytes, size_t count, const std::string& where) {
  const auto refuse = [&](std::string_view what) {
    return ApiError(Fault::kInvalid, fmt::format("`{}`: {}", where, what), where);
  };
  std::vector<std::string> texts;
  while (!bytes.empty()) {
    if (bytes.size() < 4) throw refuse("a length at the end of its bytes has less than 4 of them");
    size_t size = 0;
    for (size_t i = 4; i-- > 0;) size = size << 8 | static_cast<unsigned char>(bytes[i]);
    bytes.remove_prefix(4);
    if (size > bytes.size()) {
      throw refuse(fmt::format("a text of {} bytes is announced, and {} are left", size, bytes.size()));
    }
    if (texts.size() == count) throw refuse(fmt::format("there are more texts than its shape says, {}", count));
    texts.emplace_back(bytes.substr(0, size));
    bytes.remove_prefix(size);
  }
  return texts;
}

void read_strings(JsonValue data, const std::string& where, size_t count, std::vector<std::string>& texts) {
  data.each([&](JsonValue item) {
    if (item.is(Type::kArray)) return read_strings(item, where, count, texts);
    if (!item.is(Type::kString)) {
      throw ApiError(Fault::kInvalid, fmt::format("`{}` must hold strings; there is {}", where, type_name(item.type())),
                     where);
    }
    if (texts.size() == count) {
      throw ApiError(Fault::kInvalid, fmt::format("`{}` has more strings than its shape says, {}", where, count),
                     where);
    }
    texts.emplace_back(item.string());
  });
}

// [n] or [n, 1] -> n
size_t read_shape(const Fields& fields) {
  const JsonValue shape = fields.need("shape");
  std::vector<int64_t> sizes;
  shape.each([&](JsonValue size) { sizes.push_back(size.is(Type::kInteger) ? size.integer() : -1); });
  const bool fine =
      (sizes.size() == 1 || (sizes.size() == 2 && sizes[1] == 1)) && sizes[0] >= 0 && sizes[0] <= kMaxTexts;
  if (!fine) invalid(fields, "shape", "must be [n] or [n, 1]: the number of texts");
  return static_cast<size_t>(sizes[0]);
}

// Reads one tensor; what it has of `tail` is taken off its front.
Tensor read_tensor(const Fields& fields, std::string_view& tail, const ApiRules& rules) {
  Tensor tensor;
  tensor.name = fields.text("name").value_or("");
  const std::string datatype = fields.text("datatype").value_or("");
  if (datatype != "BYTES") {
    invalid(fields, "datatype", fmt::format("must be BYTES, which texts are; it is {}", datatype));
  }
  const size_t count = read_shape(fields);
  check_count(count, fields.path("shape"), rules);
  const auto parameters = fields.find("parameters");
  const Fields options = parameters ? fields.within(*parameters, fields.path("parameters.")) : Fields();
  if (const auto size = options.whole("binary_data_size", 0, INT64_MAX)) {
    if (static_cast<uint64_t>(*size) > tail.size()) {
      invalid(options, "binary_data_size",
              fmt::format("is {}, and {} bytes are left after the JSON (Inference-Header-Content-Length says where it "
                          "ends)",
                          *size, tail.size()));
    }
    tensor.texts = read_bytes(tail.substr(0, static_cast<size_t>(*size)), count, fields.path("data"));
    tail.remove_prefix(static_cast<size_t>(*size));
  } else {
    const JsonValue data = fields.need("data");
    if (!data.is(Type::kArray)) invalid(fields, "data", "must be an array of strings");
    read_strings(data, fields.path("data"), count, tensor.texts);
  }
  if (tensor.texts.size() != count) {
    invalid(fields, "data", fmt::format("has {} texts, and its shape says {}", tensor.texts.size(), count));
  }
  for (size_t i = 0; i < count; ++i) {
    if (!tensor.texts[i].empty()) continue;
    const std::string where = fmt::format("{}[{}]", fields.path("data"), i);
    throw ApiError(Fault::kEmpty, fmt::format("`{}` must not be empty", where), where);
  }
  return tensor;
}

std::string names_of(const std::vector<KserveTensor>& tensors) {
  std::string names;
  for (const KserveTensor& tensor : tensors) names += (names.empty() ? "" : ", ") + std::string(tensor.name);
  return names;
}

// The texts of each input of `signature`, in its order. A lone input may have any name.
std::vector<std::vector<std::string>> read_inputs_of(const Fields& fields, const KserveSignature& signature,
                                                     std::string_view tail, const ApiRules& rules) {
  const JsonValue inputs = fields.need("inputs");
  if (!inputs.is(Type::kArray)) invalid(fields, "inputs", "must be an array of tensors");
  const size_t wanted = signature.inputs.size();
  std::vector<std::vector<std::string>> texts(wanted);
  size_t seen = 0;
  inputs.each([&](JsonValue item) {
    const std::string where = fmt::format("inputs[{}]", seen);
    Tensor tensor = read_tensor(fields.within(item, where + "."), tail, rules);
    size_t at = wanted == 1 ? 0 : wanted;
    for (size_t i = 0; i < wanted; ++i) {
      if (tensor.name == signature.inputs[i].name) at = i;
    }
    if (at == wanted || !texts[at].empty()) {
      throw ApiError(Fault::kInvalid,
                     fmt::format("`{}` is the tensor \"{}\"; this model takes each of these once: {}", where,
                                 tensor.name, names_of(signature.inputs)),
                     where);
    }
    texts[at] = std::move(tensor.texts);
    ++seen;
  });
  for (size_t i = 0; i < wanted; ++i) {
    if (texts[i].empty()) {
      invalid(fields, "inputs", fmt::format("must have the tensor \"{}\"", signature.inputs[i].name));
    }
  }
  if (!tail.empty())
    invalid(fields, "inputs", fmt::format("leave {} bytes after the JSON that are no tensor's", tail.size()));
  return texts;
}

struct WantedOutput {
  KserveTensor tensor;
  bool binary = false;
};

std::vector<WantedOutput> read_outputs(const Fields& fields, const KserveSignature& signature, bool binary) {
  std::vector<WantedOutput> wanted;
  const auto outputs = fields.find("outputs");
  if (!outputs || outputs->size() == 0) {
    for (const KserveTensor& tensor : signature.outputs) wanted.push_back({tensor, binary});
    return wanted;
  }
  size_t seen = 0;
  outputs->each([&](JsonValue item) {
    const Fields output = fields.within(item, fmt::format("outputs[{}].", seen++));
    const std::string name = output.text("name").value_or("");
    const auto found = std::find_if(signature.outputs.begin(), signature.outputs.end(),
                                    [&](const KserveTensor& tensor) { return tensor.name == name; });
    if (found == signature.outputs.end() || wanted.size() == signature.outputs.size()) {
      invalid(output, "name",
              fmt::format("is \"{}\"; this model gives each of these once: {}", name, names_of(signature.outputs)));
    }
    WantedOutput one{*found, binary};
    if (const auto parameters = output.find("parameters")) {
      const Fields options = output.within(*parameters, output.path("parameters."));
      if (options.has("classification")) invalid(options, "classification", "is not offered");
      one.binary = options.flag("binary_data").value_or(binary);
    }
    wanted.push_back(one);
  });
  return wanted;
}

// Of each text the tensor's values, one after the other; for "label" the texts.
struct Columns {
  std::vector<float> values;
  std::vector<std::string_view> labels;
};

Columns columns_of(std::string_view name, const Scoring& scoring, const Answer& answer) {
  Columns columns;
  if (name == "score") {
    columns.values = models_scores(scoring, answer);
    return columns;
  }
  for (const Response& one : answer.responses) {
    if (name != "label") {
      const auto& values = output_of(one, name).values;
      columns.values.insert(columns.values.end(), values.begin(), values.end());
      continue;
    }
    const auto& probs = output_of(one, "probs").values;
    const auto best = static_cast<size_t>(std::max_element(probs.begin(), probs.end()) - probs.begin());
    const auto& labels = answer.model.info.labels;
    columns.labels.emplace_back(best < labels.size() ? std::string_view(labels[best]) : std::string_view());
  }
  return columns;
}

std::string bytes_of(const Columns& columns) {
  std::string bytes;
  for (std::string_view label : columns.labels) {
    for (int shift = 0; shift < 32; shift += 8) bytes += static_cast<char>(label.size() >> shift & 0xff);
    bytes += label;
  }
  const size_t at = bytes.size();
  bytes.resize(at + columns.values.size() * sizeof(float));
  if (!columns.values.empty()) std::memcpy(bytes.data() + at, columns.values.data(), bytes.size() - at);
  return bytes;
}

void write_output(JsonOut& out, std::string& tail, const WantedOutput& wanted, const Columns& columns, size_t texts) {
  out.open('{').key("name").plain(wanted.tensor.name).key("datatype").plain(wanted.tensor.datatype);
  out.key("shape").open('[').integer(static_cast<int64_t>(texts));
  // What the answer has, not what the model could give: a request may ask for less dimensions.
  if (wanted.tensor.columns > 0) out.integer(static_cast<int64_t>(columns.values.size() / texts));
  out.close(']');
  if (wanted.binary) {
    const std::string bytes = bytes_of(columns);
    out.key("parameters").open('{').key("binary_data_size").integer(static_cast<int64_t>(bytes.size())).close('}');
    tail += bytes;
  } else if (wanted.tensor.datatype == "BYTES") {
    out.key("data").open('[');
    for (std::string_view label : columns.labels) out.text(label);
    out.close(']');
  } else {
    out.key("data").floats(columns.values);
  }
  out.close('}');
}

}  // namespace

KserveSignature kserve_signature(const ModelFacts& model) {
  const std::string& made_for = model.default_task;
  if (made_for == task::kClassify) {
    return {task::kClassify,
            {{"text", "BYTES"}},
            {{"probs", "FP32", std::max<size_t>(1, model.info.labels.size())}, {"label", "BYTES"}}};
  }
  if (made_for == task::kScore || made_for == task::kMultiVector) {
    return {task::kScore, {{"query", "BYTES"}, {"document", "BYTES"}}, {{"score", "FP32"}}};
  }
  if (made_for == task::kEmbed) {
    return {task::kEmbed, {{"text", "BYTES"}}, {{"embedding", "FP32", std::max<size_t>(1, model.info.dimensions)}}};
  }
  return {};
}

std::string take_tail(HttpRequest& request) {
  const std::string_view text = request.header("inference-header-content-length");
  if (text.empty()) return "";
  size_t length = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), length);
  if (error != std::errc() || end != text.data() + text.size() || length > request.body.size()) {
    throw ApiError(Fault::kInvalid,
                   fmt::format("Inference-Header-Content-Length must be a number of bytes, at most the "
                               "body's {}; it is {}",
                               request.body.size(), text));
  }
  std::string tail = request.body.substr(length);
  request.body.resize(length);
  return tail;
}

Plan plan_kserve_infer(const PlanContext& context) {
  const Fields fields = context.fields();
  if (context.path_model.find("/versions/") != std::string_view::npos) {
    throw ApiError(Fault::kNoModel, fmt::format("models here have the version {} alone", kKserveVersion), "model");
  }
  Plan plan;
  plan.model = context.find_model(context.path_model, {});
  const KserveSignature signature = kserve_signature(*plan.model);
  if (signature.task.empty()) {
    throw ApiError(Fault::kWrongModel,
                   fmt::format("the model {} was made for {}, whose answers have no fixed size: this protocol has no "
                               "tensor for them; the other routes answer",
                               plan.model->name, plan.model->default_task));
  }
  need_task(*plan.model, signature.task);
  plan.task = signature.task;
  const auto parameters = fields.find("parameters");
  const Fields options = parameters ? Fields(*parameters, "parameters.", context.log) : Fields();
  if (options.has("priority")) {
    invalid(options, "priority",
            "is not offered, since Triton's numbers mean something else: send `priority` next to `inputs`");
  }
  for (const char* name : {"sequence_id", "timeout"}) {
    if (options.has(name)) invalid(options, name, "is not offered");
  }
  std::vector<WantedOutput> wanted =
      read_outputs(fields, signature, options.flag("binary_data_output").value_or(false));
  std::vector<std::vector<std::string>> texts = read_inputs_of(fields, signature, context.tail, context.rules);
  const Cut cut = read_cut(options, context.rules, plan.task == task::kEmbed);
  const size_t count = texts.back().size();
  Scoring scoring;
  if (plan.task == task::kScore) {
    if (texts[0].size() != 1 && texts[0].size() != count) {
      invalid(fields, "inputs", "must have one query, or as many as documents");
    }
    scoring = plan_scores(plan, read_instruction(options, *plan.model), texts[0], std::move(texts[1]), cut);
  } else {
    const bool embeds = plan.task == task::kEmbed;
    const size_t dimensions = embeds ? read_dimensions(options, *plan.model) : 0;
    for (std::string& text : texts[0]) {
      Request& request = plan.requests.emplace_back();
      request.input = std::move(text);
      request.dimensions = dimensions;
      if (embeds) request.normalize = options.flag("normalize");
    }
    plan.average = cut.average;
    if (embeds) plan.shared.prompt = read_prompt(options, *plan.model).text;
    apply(cut, {}, plan.requests);
  }
  plan.batch = count > 1;
  plan.write = [wanted = std::move(wanted), scoring, count, id = fields.text("id")](Answer& answer,
                                                                                    HttpResponse& response) {
    JsonOut out(expected_bytes(answer));
    std::string tail;
    out.open('{').key("model_name").text(answer.model.name).key("model_version").plain(kKserveVersion);
    if (id) out.key("id").text(*id);
    out.key("outputs").open('[');
    for (const WantedOutput& one : wanted) {
      write_output(out, tail, one, columns_of(one.tensor.name, scoring, answer), count);
    }
    out.close(']').close('}');
    response.body = out.take();
    if (std::none_of(wanted.begin(), wanted.end(), [](const WantedOutput& one) { return one.binary; })) return;
    response.content_type = "application/octet-stream";
    response.headers.emplace_back("Inference-Header-Content-Length", fmt::to_string(response.body.size()));
    response.body += tail;
  };
  return plan;
}

}  // namespace wde::server
