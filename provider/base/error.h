// The one exception type of the core: its text is a sentence that names the node, the value found
// and what was expected. plugin/ turns it into an OrtStatus at the C boundary.
#pragma once
#include <stdexcept>
#include <string>

namespace sparsecpu {

class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

}  // namespace sparsecpu
