// mutate: makes mutants of the golden checkpoints and tries them. Each must be refused by a sentence or answer; never a
// signal, a hang, or more memory than is allowed. A child process has some mutants, so that a crash hurts no other.
#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstring>
#include <fstream>
#include <iostream>

#include <fmt/format.h>

#include "mutation/trial.h"
#include "test_paths.h"

namespace wde::mutation {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

struct Settings {
  fs::path models = test::kData;
  std::string only;
  uint64_t seed = 1, count = 20, first = 0;
  size_t processes = 2;
  double seconds = 60;
  size_t megabytes = 1024;
  bool keep = false, verbose = false;
};

// What a child tells: a letter, the mutant's number, and what there is to say, in one line.
// 'B'egun (the mutation), 'R'efused, 'A'nswered, 'F'ault, 'D'one.
void tell(int to, char what, uint64_t number, std::string text) {
  std::replace(text.begin(), text.end(), '\n', ' ');
  const std::string line = fmt::format("{} {} {}\n", what, number, text);
  for (size_t sent = 0; sent < line.size();) {
    const ssize_t n = ::write(to, line.data() + sent, line.size() - sent);
    if (n < 0) ::_exit(3);
    sent += static_cast<size_t>(n);
  }
}

// The most that this process had resident since it was asked last.
size_t peak_megabytes() {
  size_t kilobytes = 0;
  std::ifstream in("/proc/self/status");
  for (std::string line; std::getline(in, line);) {
    if (line.rfind("VmHWM:", 0) == 0) kilobytes = std::stoul(line.substr(6));
  }
  std::ofstream("/proc/self/clear_refs") << "5";
  return kilobytes / 1024;
}

// The same trial of the checkpoint as it is, for mutants that must be refused or answer as it does.
bool answers_as_ever(const fs::path& checkpoint, const fs::path& images, const Random& random, const Outcome& outcome) {
  const Outcome whole = try_model(checkpoint, images, random);
  return whole.answers.size() == outcome.answers.size() &&
         std::equal(whole.answers.begin(), whole.answers.end(), outcome.answers.begin());
}

void try_one(const Settings& s, const std::string& name, uint64_t number, const fs::path& home, int to) {
  const fs::path checkpoint = s.models / name, images = s.models.parent_path() / "images";
  fs::remove_all(home);
  fs::create_directories(home);
  Random random(s.seed, name, number);
  const Mutant mutant = make_mutant(checkpoint, home, random);
  tell(to, 'B', number, mutant.what);
  peak_megabytes();
  Outcome outcome = try_model(home, images, random);
  const size_t peak = peak_megabytes();
  if (outcome.fault.empty() && peak > s.megabytes) outcome.fault = fmt::format("{} MB of memory", peak);
  if (outcome.fault.empty() && !outcome.refused && mutant.refused_or_equal &&
      !answers_as_ever(checkpoint, images, random, outcome)) {
    outcome.fault = "other answers, where the reference library refuses";
  }
  if (!outcome.fault.empty()) return tell(to, 'F', number, outcome.fault);
  tell(to, outcome.refused ? 'R' : 'A', number, outcome.sentence);
}

// Mutants [first, last) of a checkpoint, in a process of its own.
class Child {
 public:
  Child(const Settings& settings, std::string name, uint64_t first, uint64_t last)
      : settings_(settings), name_(std::move(name)), next_(first), last_(last) {
    start();
  }
  ~Child() {
    if (!settings_.keep) fs::remove_all(home_);
    fs::remove(errors_);
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  int descriptor() const { return from_; }
  Clock::time_point deadline() const { return deadline_; }

  // Reads what there is; false: all mutants have been tried.
  bool read(std::vector<std::string>& faults, size_t& refused, size_t& answered) {
    char buffer[4096];
    const ssize_t n = ::read(from_, buffer, sizeof(buffer));
    if (n > 0) {
      text_.append(buffer, static_cast<size_t>(n));
      for (size_t end; (end = text_.find('\n')) != std::string::npos; text_.erase(0, end + 1))
        hear(text_.substr(0, end), faults, refused, answered);
      return true;
    }
    const int status = stop();
    if (done_) return false;
    faults.push_back(describe(killed_               ? "it hangs"
                              : WIFSIGNALED(status) ? fmt::format("signal {}", strsignal(WTERMSIG(status)))
                                                    : fmt::format("exit status {}", WEXITSTATUS(status))));
    faults.back() += last_errors();
    if (++next_ >= last_) return false;
    start();
    return true;
  }

  void kill() {
    killed_ = true;
    ::kill(pid_, SIGKILL);
    deadline_ = Clock::time_point::max();
  }

 private:
  void start() {
    home_ = fs::temp_directory_path() / fmt::format("wde-mutant-{}-{}", ::getpid(), name_);
    errors_ = home_.string() + ".stderr";
    int ends[2];
    if (::pipe(ends) != 0) throw std::runtime_error("pipe: " + std::string(std::strerror(errno)));
    killed_ = done_ = false;
    begin();
    pid_ = ::fork();
    if (pid_ < 0) throw std::runtime_error("fork: " + std::string(std::strerror(errno)));
    if (pid_ == 0) {
      ::close(ends[0]);
      const int errors = ::open(errors_.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
      ::dup2(errors, STDERR_FILENO);
      const rlimit none{0, 0};
      ::setrlimit(RLIMIT_CORE, &none);
#if !defined(__SANITIZE_ADDRESS__)
      // What is only reserved does not count, but nothing may take the machine's memory before it is measured.
      const rlimit most{settings_.megabytes * 4 << 20, settings_.megabytes * 4 << 20};
      ::setrlimit(RLIMIT_AS, &most);
#endif
      for (uint64_t number = next_; number < last_; ++number) try_one(settings_, name_, number, home_, ends[1]);
      tell(ends[1], 'D', last_, "");
      ::_exit(0);
    }
    ::close(ends[1]);
    from_ = ends[0];
  }

  int stop() {
    int status = 0;
    ::close(from_);
    ::waitpid(pid_, &status, 0);
    return status;
  }

  void begin() {
    deadline_ =
        Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(settings_.seconds));
  }

  void hear(const std::string& line, std::vector<std::string>& faults, size_t& refused, size_t& answered) {
    const size_t blank = line.find(' ', 2);
    const std::string text = line.substr(blank + 1);
    begin();
    done_ = line[0] == 'D';
    if (!done_) next_ = std::stoull(line.substr(2, blank - 2));
    if (line[0] == 'B') mutation_ = text;
    if (line[0] == 'F') faults.push_back(describe(text));
    refused += line[0] == 'R' ? 1 : 0;
    answered += line[0] == 'A' ? 1 : 0;
    if (settings_.verbose && line[0] != 'D')
      std::cout << fmt::format("{} {} {} {}\n", name_, line[0], next_, text) << std::flush;
  }

  std::string describe(const std::string& fault) const {
    return fmt::format("{}\n  {}\n  again: mutate --seed {} --model {} --first {} --count 1", fault, mutation_,
                       settings_.seed, name_, next_);
  }

  std::string last_errors() const {
    std::string text = read_file(errors_);
    constexpr size_t kMost = 3000;
    if (text.size() > kMost) text.resize(kMost);
    return text.empty() ? "" : "\n" + text;
  }

  const Settings& settings_;
  std::string name_;
  uint64_t next_, last_;
  pid_t pid_ = -1;
  int from_ = -1;
  Clock::time_point deadline_;
  bool killed_ = false, done_ = false;
  std::string text_, mutation_;
  fs::path home_, errors_;
};

std::vector<std::string> checkpoints(const Settings& s) {
  std::vector<std::string> out;
  for (const auto& entry : fs::directory_iterator(s.models)) {
    if (entry.is_directory() && (s.only.empty() || entry.path().filename() == s.only))
      out.push_back(entry.path().filename());
  }
  std::sort(out.rbegin(), out.rend());
  return out;
}

int run(const Settings& s) {
  std::vector<std::string> waiting = checkpoints(s), faults;
  size_t refused = 0, answered = 0, told = 0;
  std::vector<std::unique_ptr<Child>> children;
  const size_t models = waiting.size();
  while (!waiting.empty() || !children.empty()) {
    while (!waiting.empty() && children.size() < s.processes) {
      children.push_back(std::make_unique<Child>(s, waiting.back(), s.first, s.first + s.count));
      waiting.pop_back();
    }
    std::vector<pollfd> polled;
    for (const auto& child : children) polled.push_back({child->descriptor(), POLLIN, 0});
    ::poll(polled.data(), polled.size(), 200);
    for (size_t i = polled.size(); i-- > 0;) {
      if (polled[i].revents != 0) {
        if (!children[i]->read(faults, refused, answered)) children.erase(children.begin() + static_cast<ptrdiff_t>(i));
      } else if (Clock::now() > children[i]->deadline()) {
        children[i]->kill();
      }
    }
    for (; told < faults.size(); ++told) std::cout << "FAULT: " << faults[told] << "\n" << std::flush;
  }
  std::cout << fmt::format("{} mutants of {} checkpoints, seed {}: {} refused, {} answered, {} faults\n",
                           s.count * models, models, s.seed, refused, answered, faults.size());
  return models > 0 && faults.empty() ? 0 : 1;
}

}  // namespace
}  // namespace wde::mutation

int main(int argc, char** argv) {
  wde::mutation::Settings s;
  CLI::App app("Changes one thing in copies of the golden checkpoints and tries them: each must be refused or answer.");
  app.add_option("--models", s.models, "The folder of checkpoints.");
  app.add_option("--model", s.only, "Only this one.");
  app.add_option("--seed", s.seed, "Another seed, other mutants.")->capture_default_str();
  app.add_option("--count", s.count, "Mutants of each checkpoint.")->capture_default_str();
  app.add_option("--first", s.first, "The number of the first.")->capture_default_str();
  app.add_option("--processes", s.processes, "At a time.")->capture_default_str();
  app.add_option("--seconds", s.seconds, "That a mutant may take.")->capture_default_str();
  app.add_option("--megabytes", s.megabytes, "That a mutant may have resident.")->capture_default_str();
  app.add_flag("--keep", s.keep, "Leaves the last mutant of each checkpoint in the folder for temporary files.");
  app.add_flag("--verbose", s.verbose, "Says what became of each.");
  CLI11_PARSE(app, argc, argv);
  return wde::mutation::run(s);
}
