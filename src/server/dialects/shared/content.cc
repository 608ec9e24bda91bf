#include "server/dialects/shared/content.h"

#include <fmt/format.h>

#include <optional>

#include "server/dialects/data_url.h"

namespace wde::server {
namespace {

using Type = JsonValue::Type;

Request text_request(std::string text, const std::string& where, const std::string& param) {
  if (text.empty()) throw ApiError(Fault::kEmpty, fmt::format("`{}` must not be empty", where), param);
  Request request;
  request.input = std::move(text);
  return request;
}

}  // namespace

Request read_content(const Fields& holder, const std::string& param, bool images) {
  const JsonValue content = holder.need("content");
  const std::string where = holder.path("content");
  std::string text;
  std::optional<Request> image;
  size_t parts = 0;
  if (content.is(Type::kString)) text = content.string();
  content.each([&](JsonValue part) {
    const Fields fields = holder.within(part, fmt::format("{}[{}].", where, parts));
    const std::string type = fields.text("type").value_or("text");
    ++parts;
    if (images && type == "image_url") {
      image.emplace().input =
          image_of(read_text(fields.within(fields.need("image_url"), fields.path("image_url.")), "url"), where);
    } else if (type == "text") {
      if (!text.empty()) text += '\n';
      text += read_text(fields, "text");
    } else {
      const char* reads = images ? "this model reads texts and images (image_url)" : "this model reads texts";
      throw ApiError(Fault::kInvalid, fmt::format("`{}` has a part of type {}; {}", where, type, reads), param);
    }
  });
  if (!image) return text_request(std::move(text), where, param);
  if (parts > 1) throw ApiError(Fault::kInvalid, fmt::format("`{}` has an image and more", where), param);
  return *std::move(image);
}

Inputs read_messages(const Fields& fields, const ModelFacts& model) {
  if (fields.has("input")) invalid(fields, "messages", "cannot come with `input`");
  if (!model.info.images) {
    invalid(fields, "messages",
            fmt::format("would have to be put into the chat template of the model {}, which this server does not do: "
                        "send the text that it is to read as `input`",
                        model.name));
  }
  for (const char* name : {"chat_template", "chat_template_kwargs"}) {
    if (fields.has(name)) invalid(fields, name, "is not offered");
  }
  for (const char* name : {"add_generation_prompt", "continue_final_message", "add_special_tokens"}) {
    if (fields.flag(name) == true) invalid(fields, name, "cannot be true: this model has no chat template");
  }
  const JsonValue messages = fields.need("messages");
  if (!messages.is(Type::kArray) || messages.size() == 0) invalid(fields, "messages", "must be an array of messages");
  Inputs inputs;
  inputs.single = true;
  std::string text;
  size_t at = 0;
  messages.each([&](JsonValue message) {
    const std::string where = fmt::format("messages[{}]", at++);
    const Fields one = fields.within(message, where + ".");
    for (const char* name : {"role", "name"}) one.find(name);  // whoever says it, it is read
    Request request = read_content(one, "messages", true);
    if (const auto* said = std::get_if<std::string>(&request.input)) {
      text += *said;
    } else {
      inputs.requests.push_back(std::move(request));
    }
  });
  if (!text.empty()) {
    if (!inputs.requests.empty()) invalid(fields, "messages", "have an image and text: this model reads one of them");
    inputs.requests.emplace_back().input = std::move(text);
  }
  if (inputs.requests.size() != 1) invalid(fields, "messages", "have several images; one vector is of one");
  return inputs;
}

}  // namespace wde::server
