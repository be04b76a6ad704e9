#pragma once

#include <string>

namespace lockstep::kafka {

struct KafkaError {
  std::string message;
};

}  // namespace lockstep::kafka
