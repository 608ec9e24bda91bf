// TEI's gRPC interface as a dialect: messages to plans, answers to messages. Knows neither network nor engine.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "server/dialects/routes.h"

namespace wde::grpc_door {

enum class Shape {
  kUnary,
  kStream,   // each message is a request of its own; the answers come in their order
  kCollect,  // all messages are one request
  kInfo,     // answered from what GET /info and GET /health say
  kHealth,
};

struct Method {
  Shape shape;
  server::Route route;  // its path is the method's name: "/tei.v1.Embed/Embed"
};

// nullptr: there is no such method.
const Method* find_method(std::string_view name);

// The body of a kCollect, made of its messages one by one.
void collect(std::string& body, std::string_view message);
// From the JSON of GET /info.
std::string info_message(std::string json);
// "" : there is no such service.
std::string health_message(std::string_view request, bool ready);

}  // namespace wde::grpc_door
