#include "grpc/dialect.h"

#include <fmt/format.h>

#include <algorithm>

#include "internal.pb.h"
#include "server/dialects/shared/scoring.h"
#include "server/serving/group.h"
#include "tei.pb.h"

namespace wde::grpc_door {
namespace {

// Named one by one: `server` has a Request of HTTP in view, tei::v1 has messages of the same names.
using server::Answer;
using server::ApiError;
using server::Cut;
using server::Fault;
using server::HttpResponse;
using server::Plan;
using server::PlanContext;
using server::PromptChoice;
namespace task = server::task;
namespace pb = ::tei::v1;

template <class Message>
Message read(const PlanContext& context) {
  Message message;
  if (!message.ParseFromString(context.request.body)) {
    throw ApiError(Fault::kSyntax, fmt::format("the message is no {}", Message::descriptor()->full_name()));
  }
  return message;
}

void write(const google::protobuf::Message& message, HttpResponse& response) {
  response.content_type = "application/grpc";
  message.SerializeToString(&response.body);
}

template <class Message>
Cut cut_of(const Message& message) {
  Cut cut;
  const int direction = message.truncation_direction();
  if (direction != pb::TRUNCATION_DIRECTION_RIGHT && direction != pb::TRUNCATION_DIRECTION_LEFT) {
    throw ApiError(Fault::kInvalid,
                   fmt::format("`truncation_direction` must be 0 (right) or 1 (left); it is {}", direction),
                   "truncation_direction");
  }
  cut.truncation = !message.truncate()                          ? Truncation::kRefuse
                   : direction == pb::TRUNCATION_DIRECTION_LEFT ? Truncation::kLeft
                                                                : Truncation::kRight;
  return cut;
}

template <class Message>
PromptChoice prompt_of(const Message& message, const server::ModelFacts& model) {
  PromptChoice choice;
  if (!message.has_prompt_name()) return choice;
  const auto found = model.info.prompts.find(message.prompt_name());
  if (found == model.info.prompts.end()) {
    throw ApiError(Fault::kInvalid,
                   fmt::format("`prompt_name` \"{}\" is no prompt of the model {}", message.prompt_name(), model.name),
                   "prompt_name");
  }
  choice.text = found->second;
  return choice;
}

std::string not_empty(const std::string& text, const char* name) {
  if (text.empty()) throw ApiError(Fault::kEmpty, fmt::format("`{}` must not be empty", name), name);
  return text;
}

std::shared_ptr<const server::ModelFacts> model_for(const PlanContext& context, server::TaskList tasks) {
  return context.find_model(context.path_model, tasks);
}

Plan plan_text(const PlanContext& context, const char* task, const std::string& inputs) {
  Plan plan;
  plan.model = model_for(context, {task});
  server::need_task(*plan.model, task);
  plan.task = task;
  plan.requests.emplace_back().input = not_empty(inputs, "inputs");
  return plan;
}

size_t characters(const Plan& plan) {
  size_t count = 0;
  for (const Request& request : plan.requests) count += server::characters_of(request);
  return count;
}

void set_metadata(pb::Metadata& metadata, const Answer& answer, size_t characters) {
  double tokenization = 0, waiting = 0, inference = 0;
  for (const Response& one : answer.responses) {
    tokenization += one.timing.tokenization();
    waiting += one.timing.waiting();
    inference += one.timing.inference();
  }
  const auto nanoseconds = [](double seconds) { return static_cast<uint64_t>(std::max(0.0, seconds * 1e9)); };
  const double count = std::max<double>(1, static_cast<double>(answer.responses.size()));
  metadata.set_compute_chars(static_cast<uint32_t>(characters));
  metadata.set_compute_tokens(static_cast<uint32_t>(answer.tokens));
  metadata.set_total_time_ns(nanoseconds(answer.seconds));
  metadata.set_tokenization_time_ns(nanoseconds(tokenization / count));
  metadata.set_queue_time_ns(nanoseconds(waiting / count));
  metadata.set_inference_time_ns(nanoseconds(inference / count));
}

void set_floats(google::protobuf::RepeatedField<float>& field, const float* values, size_t count) {
  field.Add(values, values + count);
}

Plan embed(const PlanContext& context, const pb::EmbedRequest& message) {
  Plan plan = plan_text(context, task::kEmbed, message.inputs());
  Request& request = plan.requests[0];
  request.normalize = !message.has_normalize() || message.normalize();
  if (message.has_dimensions()) {
    const size_t all = plan.model->info.dimensions;
    request.dimensions = message.dimensions();
    if (request.dimensions == 0 || request.dimensions > all) {
      throw ApiError(Fault::kInvalid,
                     fmt::format("`dimensions` must be from 1 to {}; it is {}", all, request.dimensions), "dimensions");
    }
  }
  server::apply(cut_of(message), prompt_of(message, *plan.model), plan.requests);
  plan.write = [count = characters(plan)](Answer& answer, HttpResponse& response) {
    const auto& values = server::output_of(answer.responses[0], "embedding").values;
    pb::EmbedResponse out;
    set_floats(*out.mutable_embeddings(), values.data(), values.size());
    set_metadata(*out.mutable_metadata(), answer, count);
    write(out, response);
  };
  return plan;
}

Plan embed_sparse(const PlanContext& context, const pb::EmbedSparseRequest& message) {
  Plan plan = plan_text(context, task::kSparse, message.inputs());
  server::apply(cut_of(message), prompt_of(message, *plan.model), plan.requests);
  plan.write = [count = characters(plan)](Answer& answer, HttpResponse& response) {
    const Output& output = server::output_of(answer.responses[0], "sparse");
    pb::EmbedSparseResponse out;
    for (size_t i = 0; i < std::min(output.ids.size(), output.values.size()); ++i) {
      pb::SparseValue& value = *out.add_sparse_embeddings();
      value.set_index(static_cast<uint32_t>(output.ids[i]));
      value.set_value(output.values[i]);
    }
    set_metadata(*out.mutable_metadata(), answer, count);
    write(out, response);
  };
  return plan;
}

Plan embed_all(const PlanContext& context, const pb::EmbedAllRequest& message) {
  Plan plan = plan_text(context, task::kTokenEmbed, message.inputs());
  server::apply(cut_of(message), prompt_of(message, *plan.model), plan.requests);
  plan.write = [count = characters(plan)](Answer& answer, HttpResponse& response) {
    const Output& output = server::output_of(answer.responses[0], "hidden");
    const size_t columns = output.shape.empty() ? 0 : output.shape.back();
    pb::EmbedAllResponse out;
    for (size_t at = 0; columns > 0 && at + columns <= output.values.size(); at += columns) {
      set_floats(*out.add_token_embeddings()->mutable_embeddings(), output.values.data() + at, columns);
    }
    set_metadata(*out.mutable_metadata(), answer, count);
    write(out, response);
  };
  return plan;
}

// TEI's scores are softmax over several labels unless the model's config says otherwise.
Plan plan_prediction(const PlanContext& context, Request request, const Cut& cut, bool raw) {
  Plan plan;
  plan.model = model_for(context, {task::kClassify, task::kScore});
  const bool scores = !plan.model->can(task::kClassify) && plan.model->can(task::kScore);
  if (!scores) server::need_task(*plan.model, task::kClassify);
  plan.task = scores ? task::kScore : task::kClassify;
  plan.requests.push_back(std::move(request));
  server::apply(cut, {}, plan.requests);
  plan.write = [raw, scores, count = characters(plan)](Answer& answer, HttpResponse& response) {
    const Response& one = answer.responses[0];
    const std::vector<float> values = scores ? std::vector<float>{server::score_of(one, raw)}
                                             : server::output_of(one, raw ? "logits" : "probs").values;
    const auto& labels = answer.model.info.labels;
    pb::PredictResponse out;
    for (const size_t i : server::best_first(values)) {
      pb::Prediction& prediction = *out.add_predictions();
      prediction.set_score(values[i]);
      prediction.set_label(i < labels.size() ? labels[i] : fmt::format("LABEL_{}", i));
    }
    set_metadata(*out.mutable_metadata(), answer, count);
    write(out, response);
  };
  return plan;
}

Plan predict(const PlanContext& context, const pb::PredictRequest& message) {
  Request request;
  request.input = not_empty(message.inputs(), "inputs");
  return plan_prediction(context, std::move(request), cut_of(message), message.raw_scores());
}

Plan predict_pair(const PlanContext& context, const pb::PredictPairRequest& message) {
  if (message.inputs_size() != 2) {
    throw ApiError(Fault::kInvalid, fmt::format("`inputs` must have two texts; there are {}", message.inputs_size()),
                   "inputs");
  }
  Request request;
  request.input = TextPair{not_empty(message.inputs(0), "inputs[0]"), not_empty(message.inputs(1), "inputs[1]")};
  return plan_prediction(context, std::move(request), cut_of(message), message.raw_scores());
}

struct Ranking {
  bool raw = false, with_text = false;
  std::vector<std::string> queries, texts;  // one query, or as many as texts
};

Plan plan_ranking(const PlanContext& context, Ranking ranking, const Cut& cut) {
  Plan plan;
  plan.model = model_for(context, {task::kScore, task::kMultiVector, task::kEmbed});
  server::check_count(ranking.texts.size(), "texts", context.rules);
  for (const std::string& query : ranking.queries) not_empty(query, "query");
  const server::Scoring scoring = server::plan_scores(plan, {}, ranking.queries, ranking.texts, cut);
  plan.batch = true;
  plan.write = [scoring, count = characters(plan), ranking = std::move(ranking)](Answer& answer,
                                                                                 HttpResponse& response) {
    const std::vector<float> scores = server::scores_of(scoring, answer, ranking.raw);
    pb::RerankResponse out;
    for (const size_t i : server::best_first(scores)) {
      pb::Rank& rank = *out.add_ranks();
      rank.set_index(static_cast<uint32_t>(i));
      rank.set_score(scores[i]);
      if (ranking.with_text) rank.set_text(ranking.texts[i]);
    }
    set_metadata(*out.mutable_metadata(), answer, count);
    write(out, response);
  };
  return plan;
}

Plan rerank(const PlanContext& context, const pb::RerankRequest& message) {
  Ranking ranking{message.raw_scores(), message.return_text(), {message.query()}, {}};
  ranking.texts.assign(message.texts().begin(), message.texts().end());
  return plan_ranking(context, std::move(ranking), cut_of(message));
}

Plan rerank_stream(const PlanContext& context, const wde::inside::RerankBatch& batch) {
  if (batch.requests().empty()) throw ApiError(Fault::kEmpty, "there was no message", "text");
  const pb::RerankStreamRequest& first = batch.requests(0);
  const Cut cut = cut_of(first);
  Ranking ranking{first.raw_scores(), first.return_text(), {}, {}};
  bool one_query = true;
  for (const pb::RerankStreamRequest& message : batch.requests()) {
    if (cut_of(message).truncation != cut.truncation) {
      throw ApiError(Fault::kInvalid,
                     "`truncate` and `truncation_direction` must be the same in all messages of a stream", "truncate");
    }
    one_query = one_query && message.query() == first.query();
    ranking.queries.push_back(message.query());
    ranking.texts.push_back(message.text());
  }
  if (one_query) ranking.queries.resize(1);
  return plan_ranking(context, std::move(ranking), cut);
}

// Places of bytes in characters, for ascending bytes.
class CharacterCount {
 public:
  explicit CharacterCount(std::string_view text) : text_(text) {}
  uint32_t before(size_t byte) {
    if (byte < at_) at_ = count_ = 0;
    for (; at_ < std::min(byte, text_.size()); ++at_) count_ += (static_cast<unsigned char>(text_[at_]) & 0xC0) != 0x80;
    return static_cast<uint32_t>(count_);
  }

 private:
  std::string_view text_;
  size_t at_ = 0, count_ = 0;
};

Plan tokenize(const PlanContext& context, const pb::EncodeRequest& message) {
  Plan plan;
  plan.model = model_for(context, {});
  plan.task = task::kTokenize;
  Request& request = plan.requests.emplace_back();
  request.prompt = prompt_of(message, *plan.model).text.value_or("");
  request.input = not_empty(message.inputs(), "inputs");
  plan.write = [text = *request.prompt + message.inputs(), specials = message.add_special_tokens()](
                   Answer& answer, HttpResponse& response) {
    const Output& ids = server::output_of(answer.responses[0], "ids");
    const TokenDetails& details = answer.responses[0].details;
    CharacterCount count(text);
    pb::EncodeResponse out;
    for (size_t i = 0; i < ids.ids.size(); ++i) {
      const bool special = i < details.special_tokens_mask.size() && details.special_tokens_mask[i] != 0;
      if (special && !specials) continue;
      pb::SimpleToken& token = *out.add_tokens();
      token.set_id(static_cast<uint32_t>(ids.ids[i]));
      token.set_special(special);
      const Offset offset = i < details.offsets.size() ? details.offsets[i] : Offset{};
      if (special || offset.begin > offset.end || offset.end > text.size()) {
        token.set_text(i < details.tokens.size() ? details.tokens[i] : "");
        continue;
      }
      token.set_text(text.substr(offset.begin, offset.end - offset.begin));
      token.set_start(count.before(offset.begin));
      token.set_stop(count.before(offset.end));
    }
    write(out, response);
  };
  return plan;
}

Plan decode(const PlanContext& context, const pb::DecodeRequest& message) {
  if (message.ids().empty()) throw ApiError(Fault::kEmpty, "`ids` must not be empty", "ids");
  std::vector<int32_t> ids;
  for (const uint32_t id : message.ids()) {
    if (id > static_cast<uint32_t>(INT32_MAX)) throw ApiError(Fault::kInvalid, "`ids` must hold token ids", "ids");
    ids.push_back(static_cast<int32_t>(id));
  }
  Plan plan;
  plan.model = model_for(context, {});
  plan.task = task::kTokenize;
  plan.write = [ids = std::move(ids), skip = message.skip_special_tokens()](Answer& answer, HttpResponse& response) {
    auto text = answer.engine.decode(ids, skip);
    if (!text.ok()) throw server::from_engine(text.error());
    pb::DecodeResponse out;
    out.set_text(text.value());
    write(out, response);
  };
  return plan;
}

// Fields of a newer tei.proto, or of another one: named in x-warning, as members of JSON are that nothing reads.
void warn_of_unknown(const google::protobuf::Message& message, Plan& plan) {
  const auto& unknown = message.GetReflection()->GetUnknownFields(message);
  if (unknown.empty()) return;
  plan.warnings.push_back(fmt::format("without effect here: field {} of {}", unknown.field(0).number(),
                                      message.GetDescriptor()->full_name()));
}

template <class Message, Plan (*plan)(const PlanContext&, const Message&)>
Plan planned(const PlanContext& context) {
  const auto message = read<Message>(context);
  Plan made = plan(context, message);
  if constexpr (std::is_same_v<Message, wde::inside::RerankBatch>) {
    for (const auto& one : message.requests()) {
      if (made.warnings.empty()) warn_of_unknown(one, made);
    }
  } else {
    warn_of_unknown(message, made);
  }
  return made;
}

Method method(std::string_view path, Shape shape, server::Planner planner, std::string_view group) {
  return {shape, {path, planner, server::ErrorStyle::kGrpc, {server::Dialect::kTei}, group, server::Body::kMessage}};
}

constexpr std::string_view kHealthCheck = "/grpc.health.v1.Health/Check";

const std::vector<Method>& methods() {
  using S = Shape;
  static const std::vector<Method> all = {
      method("/tei.v1.Info/Info", S::kInfo, nullptr, ""),
      method(kHealthCheck, S::kHealth, nullptr, ""),
      method("/tei.v1.Embed/Embed", S::kUnary, planned<pb::EmbedRequest, embed>, "embed"),
      method("/tei.v1.Embed/EmbedStream", S::kStream, planned<pb::EmbedRequest, embed>, "embed"),
      method("/tei.v1.Embed/EmbedSparse", S::kUnary, planned<pb::EmbedSparseRequest, embed_sparse>, "embed"),
      method("/tei.v1.Embed/EmbedSparseStream", S::kStream, planned<pb::EmbedSparseRequest, embed_sparse>, "embed"),
      method("/tei.v1.Embed/EmbedAll", S::kUnary, planned<pb::EmbedAllRequest, embed_all>, "embed"),
      method("/tei.v1.Embed/EmbedAllStream", S::kStream, planned<pb::EmbedAllRequest, embed_all>, "embed"),
      method("/tei.v1.Predict/Predict", S::kUnary, planned<pb::PredictRequest, predict>, "predict"),
      method("/tei.v1.Predict/PredictStream", S::kStream, planned<pb::PredictRequest, predict>, "predict"),
      method("/tei.v1.Predict/PredictPair", S::kUnary, planned<pb::PredictPairRequest, predict_pair>, "predict"),
      method("/tei.v1.Predict/PredictPairStream", S::kStream, planned<pb::PredictPairRequest, predict_pair>, "predict"),
      method("/tei.v1.Rerank/Rerank", S::kUnary, planned<pb::RerankRequest, rerank>, "predict"),
      method("/tei.v1.Rerank/RerankStream", S::kCollect, planned<wde::inside::RerankBatch, rerank_stream>, "predict"),
      method("/tei.v1.Tokenize/Tokenize", S::kUnary, planned<pb::EncodeRequest, tokenize>, ""),
      method("/tei.v1.Tokenize/TokenizeStream", S::kStream, planned<pb::EncodeRequest, tokenize>, ""),
      method("/tei.v1.Tokenize/Decode", S::kUnary, planned<pb::DecodeRequest, decode>, ""),
      method("/tei.v1.Tokenize/DecodeStream", S::kStream, planned<pb::DecodeRequest, decode>, ""),
  };
  return all;
}

}  // namespace

const Method* find_method(std::string_view name) {
  for (const Method& known : methods()) {
    if (known.route.path == name) return &known;
  }
  return nullptr;
}

void collect(std::string& body, std::string_view message) {
  body += '\x0a';  // RerankBatch.requests: field 1, a length and so many bytes
  size_t size = message.size();
  for (; size >= 0x80; size >>= 7) body += static_cast<char>((size & 0x7F) | 0x80);
  body += static_cast<char>(size);
  body += message;
}

std::string info_message(std::string json) {
  const server::JsonDocument document(json);
  const server::Fields info(document.root());
  const auto number = [&](const char* name) {
    return static_cast<uint32_t>(info.whole(name, 0, UINT32_MAX).value_or(0));
  };
  pb::InfoResponse out;
  out.set_version(info.text("version").value_or(""));
  out.set_model_id(info.text("model_id").value_or(""));
  if (const auto sha = info.text("model_sha")) out.set_model_sha(*sha);
  out.set_model_dtype(info.text("model_dtype").value_or(""));
  const server::Fields type(info.need("model_type"), "model_type.");
  out.set_model_type(type.has("classifier") ? pb::MODEL_TYPE_CLASSIFIER
                     : type.has("reranker") ? pb::MODEL_TYPE_RERANKER
                                            : pb::MODEL_TYPE_EMBEDDING);
  out.set_max_concurrent_requests(number("max_concurrent_requests"));
  out.set_max_input_length(number("max_input_length"));
  out.set_max_batch_tokens(number("max_batch_tokens"));
  out.set_max_client_batch_size(number("max_client_batch_size"));
  out.set_tokenization_workers(number("tokenization_workers"));
  return out.SerializeAsString();
}

std::string health_message(std::string_view request, bool ready) {
  wde::inside::HealthCheckRequest asked;
  if (!asked.ParseFromArray(request.data(), static_cast<int>(request.size()))) return "";
  const std::string prefix = "/" + asked.service() + "/";
  const auto& all = methods();
  const bool known = asked.service().empty() || std::any_of(all.begin(), all.end(), [&](const Method& one) {
                       return one.route.path.starts_with(prefix);
                     });
  if (!known) return "";
  wde::inside::HealthCheckResponse out;
  out.set_status(ready ? wde::inside::HealthCheckResponse::SERVING : wde::inside::HealthCheckResponse::NOT_SERVING);
  return out.SerializeAsString();
}

}  // namespace wde::grpc_door
