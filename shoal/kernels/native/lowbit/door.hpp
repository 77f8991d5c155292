// What the doors to Python share: arrays whose sizes are checked, and the path that is asked for.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

#include "lowbit.hpp"
#include "pool.hpp"

namespace shoal::lowbit {

template <class Number>
using In = nanobind::ndarray<const Number, nanobind::c_contig, nanobind::device::cpu>;
template <class Number>
using Out = nanobind::ndarray<Number, nanobind::c_contig, nanobind::device::cpu>;

[[noreturn]] inline void refuse(const std::string &what) { throw std::invalid_argument(what); }

// The path of that name, or with none the best that this machine has.
const Path &path_of(const std::string &name);

template <class Array>
void need(const Array &array, std::int64_t size, const char *name) {
    if (static_cast<std::int64_t>(array.size()) != size)
        refuse(std::string(name) + " has " + std::to_string(array.size()) + " values, not " + std::to_string(size));
}

// Adds the products of `trits.hpp` and `lookup.hpp`.
void add_stored(nanobind::module_ &module);

}  // namespace shoal::lowbit
