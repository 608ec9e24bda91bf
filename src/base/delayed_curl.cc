// libcurl, opened when it is first called: with its 28 libraries (LDAP, Kerberos, a second TLS) it costs a start 6 ms
// and every process 4 MB, which only downloads and traces are worth. These stand in for the functions of <curl/curl.h>
// that src/ calls; the linker names any that is missing here. Without libcurl the ones that begin something say so: no
// handle.
#include <curl/curl.h>
#include <dlfcn.h>

#include <cstdarg>

namespace {

void* library() {
  static void* const opened = dlopen("libcurl.so.4", RTLD_NOW | RTLD_LOCAL);
  return opened;
}

template <class Function>
Function* find(const char* name) {
  return library() == nullptr ? nullptr : reinterpret_cast<Function*>(dlsym(library(), name));
}

// What libcurl's function answers, or `otherwise` if there is none.
template <class Function, class Result, class... Args>
Result call(Function* function, Result otherwise, Args... args) {
  return function == nullptr ? otherwise : function(args...);
}

// Some versions have a const where others have none.
template <class Function>
struct FirstOf;
template <class Result, class First, class... Others>
struct FirstOf<Result(First, Others...)> {
  using Type = First;
};

// The third argument of setopt and getinfo is as long as a pointer, whatever it is: long, curl_off_t or a pointer.
static_assert(sizeof(long) == sizeof(void*) && sizeof(curl_off_t) == sizeof(void*));

}  // namespace

#undef curl_easy_setopt
#undef curl_easy_getinfo

// NOLINTBEGIN(readability-inconsistent-declaration-parameter-name)
// libcurl declares these two with an enumeration before the dots, which clang warns of.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wvarargs"
#define WDE_REAL(name) static auto* const real = find<decltype(name)>(#name)

extern "C" {

CURLcode curl_global_init(long flags) {
  WDE_REAL(curl_global_init);
  return call(real, CURLE_FAILED_INIT, flags);
}
CURL* curl_easy_init() {
  WDE_REAL(curl_easy_init);
  return call(real, static_cast<CURL*>(nullptr));
}
void curl_easy_cleanup(CURL* handle) {
  WDE_REAL(curl_easy_cleanup);
  if (real != nullptr) real(handle);
}
void curl_easy_reset(CURL* handle) {
  WDE_REAL(curl_easy_reset);
  if (real != nullptr) real(handle);
}
CURLcode curl_easy_setopt(CURL* handle, CURLoption option, ...) {
  WDE_REAL(curl_easy_setopt);
  va_list rest;
  va_start(rest, option);
  void* const value = va_arg(rest, void*);
  va_end(rest);
  return real == nullptr ? CURLE_FAILED_INIT : real(handle, option, value);
}
CURLcode curl_easy_getinfo(CURL* handle, CURLINFO info, ...) {
  WDE_REAL(curl_easy_getinfo);
  va_list rest;
  va_start(rest, info);
  void* const value = va_arg(rest, void*);
  va_end(rest);
  return real == nullptr ? CURLE_FAILED_INIT : real(handle, info, value);
}
CURLcode curl_easy_perform(CURL* handle) {
  WDE_REAL(curl_easy_perform);
  return call(real, CURLE_FAILED_INIT, handle);
}
const char* curl_easy_strerror(CURLcode code) {
  WDE_REAL(curl_easy_strerror);
  return call(real, "libcurl.so.4 cannot be opened (Debian's package libcurl4 has it)", code);
}
curl_slist* curl_slist_append(curl_slist* list, const char* line) {
  WDE_REAL(curl_slist_append);
  return call(real, static_cast<curl_slist*>(nullptr), list, line);
}
void curl_slist_free_all(curl_slist* list) {
  WDE_REAL(curl_slist_free_all);
  if (real != nullptr) real(list);
}
void curl_free(void* memory) {
  WDE_REAL(curl_free);
  if (real != nullptr) real(memory);
}
CURLU* curl_url() {
  WDE_REAL(curl_url);
  return call(real, static_cast<CURLU*>(nullptr));
}
void curl_url_cleanup(CURLU* url) {
  WDE_REAL(curl_url_cleanup);
  if (real != nullptr) real(url);
}
CURLUcode curl_url_set(CURLU* url, CURLUPart part, const char* text, unsigned flags) {
  WDE_REAL(curl_url_set);
  return call(real, CURLUE_BAD_HANDLE, url, part, text, flags);
}
CURLUcode curl_url_get(FirstOf<decltype(curl_url_get)>::Type url, CURLUPart part, char** text, unsigned flags) {
  WDE_REAL(curl_url_get);
  return call(real, CURLUE_BAD_HANDLE, url, part, text, flags);
}

}  // extern "C"
#pragma GCC diagnostic pop
// NOLINTEND(readability-inconsistent-declaration-parameter-name)
