#include "lockstep/model/names.hpp"

#include "catch.hpp"

using namespace lockstep;

TEST_CASE("names: a topic's last two parts are the source's schema and table") {
  struct Case {
    std::string topic;
    std::optional<Relation> want;
  };
  const Case cases[] = {
      {"dbserver1.public.users", Relation{"public", "users"}},
      {"a.prefix.with.dots.public.users", Relation{"public", "users"}},
      {".public.users", Relation{"public", "users"}},
      {"dbserver1.transaction", std::nullopt},
      {"__debezium-heartbeat.dbserver1", std::nullopt},
      {"users", std::nullopt},
      {".users", std::nullopt},
      {"dbserver1..users", std::nullopt},
      {"dbserver1.public.", std::nullopt},
      {"..", std::nullopt},
      {"", std::nullopt},
  };
  for (const auto& c : cases) {
    CAPTURE(c.topic);
    CHECK(source_table_of(c.topic) == c.want);
  }
}
