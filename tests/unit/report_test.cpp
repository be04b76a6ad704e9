// What the log says of tables that wait, stand still or take long, by a clock that the test has.
#include "report.hpp"

#include "catch.hpp"
#include "logged.hpp"

using namespace lockstep;
using namespace lockstep::pipeline;
using std::chrono::seconds;
using Lines = std::vector<std::string>;

namespace {

struct ReportFixture {
  /// Lets the time pass second by second, as the pipeline's loop would.
  Lines lines_of(seconds passing) {
    for (const auto end = now + passing; now < end;) {
      now += seconds{1};
      report.tick(nullptr, now);
    }
    return log.take();
  }
  void read() {
    const auto lane = lanes.change(index);
    Batch& batch = lane->filling(now);
    batch.changes.push_back({});
    ++batch.records;
    lane->filled();
  }
  void be_busy() {
    const auto lane = lanes.change(index);
    lane->busy(lane->take(now), "locked", now);
    report.waits(index);
  }

  lockstep::test::Logged log;
  Report::Time now{seconds{1000}};
  Lanes lanes{{.max_events = 10, .max_bytes = 1024 * 1024, .max_wait = {}}};
  Ledger ledger;
  std::size_t index = lanes.index_of("t");
  Report report{"p", lanes, ledger, now};
};

}  // namespace

TEST_CASE(
    "report: a slow destination is none that nothing is delivered of, one that is away is told") {
  PipelineStatus status;
  status.lanes.emplace_back().stalled_s = 40;
  DestinationStatus destination;
  add_destination(status, destination);  // it has nothing
  CHECK(status.lanes[0].stalled_s == 40);
  CHECK(status.target_outage.empty());
  destination.in_flight = 1;
  destination.outage = "https://one.example takes no calls: HTTP 500";
  add_destination(status, destination);
  CHECK(status.lanes[0].stalled_s == 0);
  CHECK(status.target_outage == destination.outage);
  CHECK(status.destination->in_flight == 1);
}

TEST_CASE(
    "report: a table that waits is told when it begins to, each minute, and when it is over") {
  ReportFixture f;
  f.read();
  f.be_busy();
  CHECK(f.log.take() ==
        Lines{"warning table waits, the others go on pipeline=p topic=t cause: locked"});
  f.be_busy();
  f.be_busy();
  CHECK(f.lines_of(seconds{59}).empty());
  CHECK(f.lines_of(seconds{1}) ==
        Lines{"warning table still waits pipeline=p topic=t for_s=60 tries=3 cause: locked"});
  f.be_busy();
  CHECK(f.lines_of(seconds{120}) ==
        Lines{"warning table still waits pipeline=p topic=t for_s=120 tries=4 cause: locked",
              "warning table still waits pipeline=p topic=t for_s=180 tries=4 cause: locked"});
  const auto trouble = *f.lanes[f.index].trouble();
  static_cast<void>(f.lanes.change(f.index)->take(f.now));
  f.lanes.change(f.index)->applied();
  f.report.goes_on(f.index, trouble, f.now);
  CHECK(f.log.take() == Lines{"info table goes on pipeline=p topic=t after_ms=180000 tries=5"});
  CHECK(f.lines_of(seconds{120}).empty());
}

TEST_CASE(
    "report: a table that began to wait lately is not told again before it has for a minute") {
  ReportFixture f;
  CHECK(f.lines_of(seconds{30}).empty());
  f.read();
  f.be_busy();
  f.log.take();
  CHECK(f.lines_of(seconds{30}).empty());  // the reminder's minute, not the table's
  CHECK(f.lines_of(seconds{60}) ==
        Lines{"warning table still waits pipeline=p topic=t for_s=90 tries=1 cause: locked"});
}

TEST_CASE("report: a transaction that runs for long is told each minute, with how long") {
  ReportFixture f;
  f.read();
  static_cast<void>(f.lanes.change(f.index)->take(f.now));
  CHECK(f.lines_of(seconds{59}).empty());
  CHECK(f.lines_of(seconds{61}) ==
        Lines{"warning transaction still runs pipeline=p topic=t for_s=60",
              "warning transaction still runs pipeline=p topic=t for_s=120"});
  f.lanes.change(f.index)->applied();
  CHECK(f.lines_of(seconds{120}).empty());
}

TEST_CASE("report: a stopped table is told each minute, with its cause and for how long") {
  ReportFixture f;
  f.lanes.change(f.index)->stop("no such thing", f.now);
  f.report.stopped("t", "no such thing");
  CHECK(f.log.take() ==
        Lines{"error table stopped, the others go on pipeline=p topic=t cause: no such thing"});
  CHECK(f.lines_of(seconds{120}) ==
        Lines{"error table is still stopped pipeline=p topic=t for_s=60 cause: no such thing",
              "error table is still stopped pipeline=p topic=t for_s=120 cause: no such thing"});
  f.lanes.change(f.index)->reopen();
  CHECK(f.lines_of(seconds{120}).empty());
}

TEST_CASE("report: one that is paused by an operator is not in trouble") {
  ReportFixture f;
  f.lanes.change(f.index)->pause();
  CHECK(f.lines_of(seconds{180}).empty());
}

TEST_CASE("report: progress is told every 10 s if anything was applied, else not") {
  ReportFixture f;
  CHECK(f.lines_of(seconds{30}).empty());
  Batch batch;
  batch.records = 5;
  batch.changes.resize(3);
  f.report.applied(f.index, batch, seconds{1});
  const auto lines = f.lines_of(seconds{30});
  REQUIRE(lines.size() == 1);
  CHECK(lines[0].starts_with("info progress pipeline=p changes=3 rate=0/s batches=1 "));
}

TEST_CASE("report: what the connector loses is told once for each column, and counts as applied") {
  ReportFixture f;
  f.report.lost("t", {"a", "months are days", true});
  f.report.lost("t", {"a", "months are days", true});
  f.report.lost("t", {"b", "months are days", true});
  f.report.lost("u", {"a", "no offset", false});
  f.report.lost("u", {"a", "no offset", false});
  CHECK(f.log.take() ==
        Lines{"warning lossy values pipeline=p topic=t column=\"a\": months are days",
              "warning lossy values pipeline=p topic=t column=\"b\": months are days",
              "info column may be lossy pipeline=p topic=u column=\"a\": no offset"});
  Batch batch;
  batch.records = 2;
  batch.changes.resize(2);
  batch.changes[0].lossy_values = 2;
  batch.changes[1].lossy_values = 1;
  f.report.applied(f.index, batch, seconds{1});
  CHECK_THAT(f.lines_of(seconds{10}).at(0), ContainsSubstring(" lossy_values=3"));
}
