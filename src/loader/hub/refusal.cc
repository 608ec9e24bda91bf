// What the Hub's refusals mean and what to do about them.
#include <fmt/format.h>

#include "loader/hub/client.h"
#include "loader/json_file.h"

namespace wde::hub {
namespace {

// The Hub's own words, where it has any.
std::string said(const HttpResponse& response) {
  const std::string message = response.header("x-error-message");
  return message.empty() ? "" : fmt::format(" (it says: {})", quote(message));
}

std::string advice_on_token(const Settings& settings) {
  if (settings.token.empty()) return "set HF_TOKEN to a token of an account that has access";
  return fmt::format("the token of {} has no access to it", settings.token_source);
}

std::string not_found(const RepoName& name, const Settings& settings) {
  std::string text = fmt::format(
      "{} is no local directory, and {} has no model of this name, or it is private. "
      "Check the spelling; ",
      name.repo, settings.endpoint);
  if (name.repo.find('/') == std::string::npos) {
    text += fmt::format("most names have an owner in front (sentence-transformers/{}?); ", name.repo);
  }
  return text + "for a private model, " + advice_on_token(settings);
}

}  // namespace

std::string explain_refusal(const HttpResponse& response, const RepoName& name, const Settings& settings,
                            const std::string& what) {
  const std::string code = response.header("x-error-code");
  const std::string message = response.header("x-error-message");
  const long status = response.status;
  if (code == "GatedRepo") {
    return fmt::format(
        "{} is gated: its authors give access to those who ask for it (status {}). Ask at {}/{}; then {}", name.repo,
        status, settings.endpoint, name.repo, advice_on_token(settings));
  }
  if (code == "RevisionNotFound") {
    return fmt::format("{} has no revision {}: check the branch, tag or commit behind the @", name.repo,
                       quote(name.revision));
  }
  if (code == "EntryNotFound")
    return fmt::format("{} is listed, but the Hub does not have it (status {})", what, status);
  const bool bad_token = message.find("nvalid credentials") != std::string::npos;
  if (status == 401 && bad_token) {
    return fmt::format("{}: the Hub does not accept the token of {} (status 401){}", name.full(), settings.token_source,
                       said(response));
  }
  // Without a token the Hub answers 401 for what does not exist, so as not to tell what is private.
  if (code == "RepoNotFound" || status == 404 || (status == 401 && settings.token.empty())) {
    return fmt::format("{} (status {})", not_found(name, settings), status);
  }
  if (status == 401 || status == 403) {
    return fmt::format("{}: access is refused (status {}){}; {}", what, status, said(response),
                       advice_on_token(settings));
  }
  if (status == 429) {
    return fmt::format("{}: the Hub limits how much it is asked (status 429){}{}", what,
                       response.retry_after ? fmt::format("; it wants a pause of {} s", *response.retry_after) : "",
                       settings.token.empty() ? "; with a token in HF_TOKEN the limit is higher" : "");
  }
  return fmt::format("{}: {} answers with status {}{}", what, origin_of(response.url), status, said(response));
}

}  // namespace wde::hub
