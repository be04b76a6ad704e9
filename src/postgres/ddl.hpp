#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "lockstep/model/change.hpp"
#include "lockstep/model/connector.hpp"
#include "lockstep/postgres/catalog.hpp"

/// The words of DDL. Pure.
namespace lockstep::postgres {

/// A column's type as DDL writes it, and what the catalog says of such a column.
struct ColumnType {
  std::string sql;  ///< "numeric(10,2)", "public.mood", "text[]"
  TargetColumn column;
};

/// The type that the source declares for the column, where it is one of PostgreSQL's own; nullopt:
/// it is none of them, or no value of the column could be written to it.
std::optional<ColumnType> own_type(const Column& source, const ConnectorModes& modes = {});

/// The same for a type of the target's that is called like the source's. `type`: of find_type().
std::optional<ColumnType> type_like(const Column& source, const TargetColumn& type,
                                    const ConnectorModes& modes = {});

/// The name that such a type has: without the _ of an array.
std::string element_name(const Column& source);

/// A type that takes all values of the column.
ColumnType any_type(const Column& source, const ConnectorModes& modes = {});

/// How a target column's type compares with the one that the source has now.
enum class TypeFit : std::uint8_t {
  same,     ///< it is that type, or one that takes all its values
  widens,   ///< PostgreSQL makes that type of it, each value staying the same
  another,  ///< neither is known
};
TypeFit compare(const TargetColumn& have, const TargetColumn& want);

/// 'it''s'
std::string quote_text(const std::string& text);

/// CREATE TABLE … with the key's columns as primary key. `types`: of the row's columns.
std::string create_table(const Relation& name, const Layout& row,
                         const std::vector<ColumnType>& types, const Layout* key,
                         const std::string& synced_at);

}  // namespace lockstep::postgres
