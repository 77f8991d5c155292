// The door to Python: arrays in, arrays out, checked; the work is done without the interpreter's lock.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/tuple.h>

#include <initializer_list>
#include <stdexcept>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "climb.hpp"

namespace nb = nanobind;

namespace {

using Doubles = nb::ndarray<const double, nb::c_contig, nb::device::cpu>;
using Ints = nb::ndarray<const std::int64_t, nb::c_contig, nb::device::cpu>;

[[noreturn]] void refuse(const std::string &what) { throw std::invalid_argument(what); }

template <class Array>
Array read(nb::handle from, const char *name, std::initializer_list<std::size_t> shape) {
    Array array = nb::cast<Array>(from.attr(name), false);  // no conversion: a copy would be gone when we look
    bool fits = array.ndim() == shape.size();
    for (std::size_t axis = 0; fits && axis < shape.size(); ++axis) fits = array.shape(axis) == shape.begin()[axis];
    if (!fits) refuse(std::string(name) + " has another shape");
    return array;
}

// The arrays of a ChainTables; they outlive the call because the caller holds the tables.
shoal::Tables tables_of(nb::handle from) {
    const auto run_s = nb::cast<Doubles>(from.attr("run_s"), false);
    if (run_s.ndim() != 3 || run_s.shape(0) == 0 || run_s.shape(1) < 2) refuse("run_s has another shape");
    const std::size_t m = run_s.shape(0), cuts = run_s.shape(1);
    const std::size_t kinds = nb::cast<Doubles>(from.attr("idle_w"), false).size();
    const std::size_t shared = nb::cast<Doubles>(from.attr("limit_bytes"), false).size();
    shoal::Tables t;
    t.units = static_cast<int>(m), t.cuts = static_cast<int>(cuts);
    t.kinds = static_cast<int>(kinds), t.shared = static_cast<int>(shared);
    const auto square = [&](const char *name) { return read<Doubles>(from, name, {m, cuts, cuts}).data(); };
    const auto arcs = [&](const char *name) { return read<Doubles>(from, name, {m + 1, m, cuts}).data(); };
    t.run_s = square("run_s"), t.lead_s = square("lead_s");
    t.dynamic_j = square("dynamic_j"), t.memory_bytes = square("memory_bytes");
    t.hop_s = arcs("hop_s"), t.busy_s = arcs("busy_s"), t.recv_j = arcs("recv_j"), t.send_j = arcs("send_j");
    t.idle_w = read<Doubles>(from, "idle_w", {kinds}).data();
    t.limit_bytes = read<Doubles>(from, "limit_bytes", {shared}).data();
    const auto kind_of = read<Ints>(from, "kind_of", {m}), shared_of = read<Ints>(from, "shared_of", {m});
    for (std::size_t u = 0; u < m; ++u) {
        const std::int64_t kind = kind_of.data()[u], group = shared_of.data()[u];
        if (kind < 0 || kind >= t.kinds || group < -1 || group >= t.shared)
            refuse("kind_of or shared_of out of range");
        t.kind_of.push_back(static_cast<int>(kind)), t.shared_of.push_back(static_cast<int>(group));
    }
    t.longest_s = nb::cast<double>(from.attr("longest_s"));
    return t;
}

std::vector<shoal::Node> nodes_of(nb::iterable from, const shoal::Tables &tables) {
    std::vector<shoal::Node> nodes;
    for (nb::handle each : from) {
        shoal::Node node;
        node.unit = nb::cast<int>(each.attr("unit"));
        node.starts = nb::cast<bool>(each.attr("starts"));
        if (node.unit < 0 || node.unit >= tables.units) refuse("a node's unit is out of range");
        const auto earlier = [&](const char *name) {
            std::vector<int> found;
            for (nb::handle place : nb::borrow<nb::iterable>(each.attr(name))) {
                found.push_back(nb::cast<int>(place));
                if (found.back() < 0 || found.back() >= static_cast<int>(nodes.size()))
                    refuse("a node comes before one it follows");
            }
            return found;
        };
        node.before = earlier("before"), node.within = earlier("within");
        node.gathering.assign(tables.shared, 0);
        const auto gathers = [&](int unit) {
            if (unit < 0 || unit >= tables.units) refuse("a node's unit left is out of range");
            if (tables.shared_of[unit] >= 0) node.gathering[tables.shared_of[unit]] = 1;
        };
        gathers(node.unit);
        for (nb::handle unit : each.attr("left")) gathers(nb::cast<int>(unit));
        nodes.push_back(std::move(node));
    }
    return nodes;
}

template <class Number>
auto array_of(std::vector<Number> numbers, std::size_t columns) {
    auto *kept = new std::vector<Number>(std::move(numbers));
    nb::capsule owner(kept, [](void *p) noexcept { delete static_cast<std::vector<Number> *>(p); });
    return nb::ndarray<nb::numpy, Number, nb::ndim<2>>(kept->data(), {kept->size() / columns, columns}, owner);
}

shoal::Question question_of(nb::handle tables, nb::iterable goals, double time_limit_s) {
    shoal::Question question;
    question.tables = tables_of(tables);
    for (nb::handle goal : goals) {
        const int column = nb::cast<int>(goal);
        if (column < 0 || column >= shoal::kGoals) refuse("no such goal");
        question.wanted[static_cast<std::size_t>(column)] = true;
    }
    question.time_limit_s = time_limit_s;
    return question;
}

// Run a kernel without the interpreter's lock; Ctrl-C is looked for about ten times a second.
template <class Kernel>
auto answered(shoal::Question &question, const Kernel &kernel) {
    bool interrupted = false;
    question.interrupted = [&interrupted] {
        nb::gil_scoped_acquire lock;
        interrupted = PyErr_CheckSignals() != 0;
        return interrupted;
    };
    shoal::Answer answer;
    {
        nb::gil_scoped_release unlocked;
        answer = kernel(question);
    }
    if (interrupted) throw nb::python_error();
    std::vector<double> values;
    for (const shoal::Values &each : answer.values) values.insert(values.end(), each.begin(), each.end());
    std::vector<std::int64_t> groups;
    for (const shoal::Group &group : answer.groups)
        groups.insert(groups.end(), {group.plan, group.last_cut, group.unit});
    return std::make_tuple(array_of(std::move(values), shoal::kGoals), array_of(std::move(groups), 3),
                           answer.finished);
}

auto sweep(nb::object tables, nb::iterable nodes, nb::iterable goals, Doubles known, double epsilon,
           double time_limit_s) {
    shoal::Question question = question_of(tables, goals, time_limit_s);
    question.nodes = nodes_of(nodes, question.tables);
    question.epsilon = epsilon;
    if (known.ndim() != 2 || known.shape(1) != shoal::kGoals) refuse("known has another shape");
    for (std::size_t row = 0; row < known.shape(0); ++row) {
        shoal::Values values{};
        for (std::size_t goal = 0; goal < shoal::kGoals; ++goal)
            if (question.wanted[goal]) values[goal] = known.data()[row * shoal::kGoals + goal];
        question.known.push_back(values);
    }
    return answered(question, [](const shoal::Question &asked) { return shoal::sweep(asked); });
}

auto climb(nb::object tables, nb::iterable goals, Ints groups, bool in_order, double time_limit_s) {
    shoal::Question question = question_of(tables, goals, time_limit_s);
    if (groups.ndim() != 2 || groups.shape(1) != 3) refuse("groups have another shape");
    std::vector<shoal::Group> from;
    for (std::size_t row = 0; row < groups.shape(0); ++row) {
        const std::int64_t *group = groups.data() + 3 * row;
        if (group[1] < 1 || group[1] >= question.tables.cuts || group[2] < 0 || group[2] >= question.tables.units)
            refuse("a group is out of range");
        from.push_back({static_cast<int>(group[0]), static_cast<int>(group[1]), static_cast<int>(group[2])});
    }
    return answered(question, [&](const shoal::Question &asked) { return shoal::climb(asked, from, in_order); });
}

}  // namespace

NB_MODULE(_native, module) {
    module.doc() = "Native kernels; `shoal.kernels` is their door.";
    module.def("sweep", &sweep, nb::arg("tables"), nb::arg("nodes"), nb::arg("goals"), nb::arg("known").noconvert(),
               nb::arg("epsilon"), nb::arg("time_limit_s"));
    module.def("climb", &climb, nb::arg("tables"), nb::arg("goals"), nb::arg("groups").noconvert(),
               nb::arg("in_order"), nb::arg("time_limit_s"));
}
