// App: the server behind its HTTP: who may ask, which plan answers, what may wait, and what is said of it in headers,
// metrics and log.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "server/dialects/routes.h"
#include "server/net/http_server.h"
#include "server/observe/access_log.h"
#include "server/observe/metrics.h"
#include "server/observe/trace_exporter.h"
#include "server/serving/admission.h"
#include "server/serving/doors.h"
#include "server/serving/models.h"
#include "server/serving/work_pool.h"

namespace wde::server {

struct AppOptions {
  ApiRules rules;
  QueueLimits queue;
  DoorOptions doors;
  std::shared_ptr<AccessLog> log;
  TraceOptions traces;
  double request_seconds = 0;        // for a request at most; 0: as long as it takes
  size_t max_body_bytes = 16 << 20;  // of one that was compressed, when it no longer is
  size_t threads = 2;
  std::string root_path;  // what a proxy puts before all paths, "" or "/some/path"
};

class App final : public HttpHandler {
 public:
  // `on_model` is told of every model that is ready, failed or unloaded.
  App(AppOptions options, std::vector<ServedModel> models, std::function<void(const ModelState&)> on_model);
  ~App() override;

  std::optional<HttpResponse> refuse(HttpRequest& head) override;
  void handle(std::shared_ptr<HttpRequest> request, Respond respond) override;
  bool is_probe(const HttpRequest& head) override;
  HttpResponse refusal(int status, const std::string& reason, const HttpRequest& request) override;
  void drain() override;

  void set_counts(std::function<HttpCounts()> counts) { counts_ = std::move(counts); }
  Doors& doors() { return doors_; }
  static HttpResponse json(JsonOut& out);

  // After the last request: ends the engines and the threads. Spans that are left are sent only if there is time.
  void shutdown(bool at_once = false);

 private:
  struct Call;

  RouteMatch route_of(const HttpRequest& request) const;

  // POST routes, on a thread of the pool.
  void serve(const std::shared_ptr<Call>& call);
  void make_plan(Call& call);
  void guarded(Call& call, const std::function<void()>& work);
  void warn_once(const Plan& plan);  // in the log, of its undeclared dimensions; once a model
  void run(const std::shared_ptr<Call>& call);
  void run_next(const std::shared_ptr<Call>& call, std::vector<Response> responses, const Engine& engine);
  using Then = std::function<void(std::vector<Response>, const std::shared_ptr<Engine>&)>;
  // `then` with the answers, on a thread of the pool; if there are none, the call fails.
  void compute(const std::shared_ptr<Call>& call, const std::string& task, std::vector<Request> requests, Then then);
  void start_group(const std::shared_ptr<Call>& call, const std::string& task, const std::shared_ptr<Engine>& engine,
                   std::vector<Request> requests, const Then& then);
  void run_in_pieces(const std::shared_ptr<Call>& call);
  void write(Call& call, std::vector<Response> responses, const std::shared_ptr<Engine>& engine);
  void fail(Call& call, const ApiError& error);
  void finish(Call& call, HttpResponse response, std::string_view error);

  // GET and the models' own routes (app_info.cc). False: no such path.
  static bool is_info_path(std::string_view method, std::string_view path, Dialect dialect);
  static bool is_open_path(std::string_view path);   // answered without a key
  static bool is_probe_path(std::string_view path);  // asks for the server's health
  static bool is_admin_path(std::string_view path);  // changes what the server does
  HttpResponse answer_info(const HttpRequest& request, std::string_view path, Dialect dialect);
  HttpResponse health(Dialect dialect) const;
  // GET routes of Weaviate and KServe (app_platforms.cc).
  static bool is_platform_path(std::string_view path, Dialect dialect);
  static bool is_open_platform_path(std::string_view path);
  HttpResponse answer_platform(std::string_view path);
  HttpResponse tei_info(Dialect dialect) const;
  HttpResponse list_models(Dialect dialect) const;
  HttpResponse one_model(std::string_view name);
  HttpResponse ollama_tags() const;
  HttpResponse ollama_show(const HttpRequest& request);
  HttpResponse change_model(const HttpRequest& request, bool load);
  HttpResponse metrics_text();
  void fill_in_limits(std::string& description) const;

  // What is refused by its header alone (app_doors.cc).
  HttpResponse turn_away(const HttpRequest& head, const RouteMatch& match, const ApiError& error);
  void decode_body(HttpRequest& request, size_t limit) const;
  std::string request_id(const HttpRequest& request);
  void add_span(Call& call, const HttpResponse& response, std::string_view error);

  AppOptions options_;
  std::shared_ptr<AccessLog> log_;
  Doors doors_;
  Metrics metrics_;
  std::unique_ptr<TraceExporter> traces_;  // nullptr: nobody wants them
  Admission admission_;
  std::atomic<bool> draining_{false};
  std::atomic<uint64_t> next_id_;
  std::atomic<uint64_t> next_group_{1};  // Request::group
  std::function<HttpCounts()> counts_;
  std::mutex warned_mutex_;
  std::set<std::string> warned_;  // models whose undeclared dimensions were logged
  Models models_;
  WorkPool pool_;
};

}  // namespace wde::server
