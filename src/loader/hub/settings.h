// What the environment says about the Hub: the same variables with the same meaning as in huggingface_hub.
#pragma once

#include <string>

namespace wde::hub {

struct Settings {
  std::string cache;         // HF_HUB_CACHE, else HF_HOME/hub, else ~/.cache/huggingface/hub
  std::string endpoint;      // HF_ENDPOINT, without a slash at its end
  std::string token;         // "": none
  std::string token_source;  // "HF_TOKEN" or the file that it came from; where there is none, where it would belong
  bool offline = false;      // HF_HUB_OFFLINE
  long answer_seconds = 10;  // HF_HUB_ETAG_TIMEOUT: for an answer where the cache could serve instead
  long stall_seconds = 10;   // HF_HUB_DOWNLOAD_TIMEOUT: without a byte before a connection counts as broken
  std::string certificates;  // CURL_CA_BUNDLE, REQUESTS_CA_BUNDLE or SSL_CERT_FILE; "": the system's

  // Throws UsageError: an endpoint that is no http(s) address, a token that cannot be one.
  static Settings from_environment();
};

}  // namespace wde::hub
