#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "assignment.hpp"
#include "lockstep/batch/lanes.hpp"
#include "lockstep/batch/ledger.hpp"
#include "lockstep/pipeline/gate.hpp"
#include "lockstep/pipeline/status.hpp"
#include "report.hpp"
#include "writers.hpp"

namespace lockstep::pipeline {

/// Batches from the lanes to the writers, and what their answers and an operator's commands mean
/// for the lanes and the positions.
/// Needs neither broker nor database: sinks can be anything.
/// Threads: the pipeline's.
class Dispatcher {
 public:
  using Time = std::chrono::steady_clock::time_point;
  /// Where a partition's log ended when it was last fetched from.
  using KnownEnd = std::function<std::optional<NextOffset>(const TopicPartition&)>;

  Dispatcher(std::string pipeline, Lanes& lanes, Ledger& ledger, Letterbox& letterbox,
             Writers& writers, Assignment& assignment, Report& report, LateSink* late = nullptr,
             const Gate* gate = nullptr)
      : pipeline_{std::move(pipeline)},
        lanes_{lanes},
        ledger_{ledger},
        letterbox_{letterbox},
        writers_{writers},
        assignment_{assignment},
        report_{report},
        late_{late},
        gate_{gate} {}

  void hand_over(Time now, const KnownEnd& known_end);
  void take_answers(Time now);
  /// Lanes whose log is to be read again, and those that hold memory without getting on.
  void look_after(Time now);
  /// Any command but to skip. Errors: no such topic.
  Result<Done, CommandError> obey(const Command& command, Time now);

  // ---- To skip takes a while: the record is read again, and its letter delivered

  using Answer = std::function<void(Result<Done, CommandError>)>;
  /// The record that the command is about. Errors: there is nothing to skip, and why.
  Result<RecordPlace, CommandError> to_skip(const Command& command) const;
  /// A record of to_skip(). `answer` is told, by look_after(), when it is passed, or that it still
  /// stops its topic.
  void skip(const RecordPlace& record, Answer answer, Time now);
  /// What is not skipped yet is not skipped any more, and told why.
  void give_up_skips(const std::string& cause, Time now);

 private:
  void take_answer(Writers::Answer& answer, Time now);
  void take_late_answer(const LateAnswer& answer, Time now);
  void take_refusal(const LateRefusal& refusal, std::uint64_t generation, Time now);
  void tell_generations();
  void answered(const std::vector<Slice>& slices);
  void wait(std::size_t index, const SinkError& error, std::unique_ptr<Batch> batch, Time now);
  void refuse(std::size_t index, const SinkError& error, std::unique_ptr<Batch> batch, Time now);
  void obey(Command::Verb verb, std::size_t index, Time now);
  void keep_stopped(std::size_t index, const Letter& skipped, const SinkError& error, Time now);
  void note_skipped(const Batch& applied);
  bool is_passed(std::size_t lane, const RecordPlace& record);
  void answer_skips(Time now);

  /// One that is under way.
  struct Skip {
    std::size_t lane;
    RecordPlace record;
    Answer answer;
    bool was_found = false;  ///< a letter of it is passed
  };

  const std::string pipeline_;
  Lanes& lanes_;
  Ledger& ledger_;
  Letterbox& letterbox_;
  Writers& writers_;
  Assignment& assignment_;
  Report& report_;
  LateSink* const late_;             ///< the writers' only sink, if it is one
  const Gate* const gate_;           ///< nullptr: nothing is held back
  std::vector<std::uint64_t> told_;  ///< to it, by lane: the generation
  Time last_applied_;                ///< when a change was, of any table
  std::vector<Skip> skips_;
};

}  // namespace lockstep::pipeline
