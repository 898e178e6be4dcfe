#include "ops/window_memory.h"

#include "base/memory.h"

namespace sparsecpu {
namespace {

// Bytes of a laid out input may be so many times those of the input and the output, and so many beside. A window of
// 3x3 on the smallest images takes nine times, since each of few positions has a border of its own.
constexpr double kMostTimes = 16, kMostBeside = 16 << 20;
// Pixels of the output so many times those of the input, and so many beside: pads make the rest, and whatever their
// sizes are assumed to be, plans name each of them.
constexpr double kMostPixels = 16, kMostPixelsBeside = 1 << 16;

std::string megabytes(double bytes) { return std::to_string(static_cast<int64_t>(bytes / (1 << 20))) + " MiB"; }

Check check_memory(const Window& window, const Shape& in, const Shape& out, bool bytes) {
  const ImageSize image = image_size(in);
  const WindowExtent extent = window_extent(window, image);
  const double pixels = static_cast<double>(image[0]) * static_cast<double>(image[1]);
  if (static_cast<double>(extent.out_h) * static_cast<double>(extent.out_w) >
      kMostPixels * pixels + kMostPixelsBeside) {
    return decline("its pads make an image of " + dims_text({extent.out_h, extent.out_w}) + " pixels of one of " +
                   dims_text({image[0], image[1]}));
  }
  const Geometry blocks = choose_geometry(out[0], extent.out_h, extent.out_w);
  const WindowLayout layout = window_layout(in, blocks, window, extent);
  const int64_t vectors = bytes ? ceil_div(in[1], 4) : in[1];
  const double laid_out = layout.positions() * static_cast<double>(checked_mul(blocks.groups(), vectors)) * kLanes * 4;
  const double both = static_cast<double>(element_count(in) + element_count(out)) * (bytes ? 1 : 4);
  if (laid_out <= kMostTimes * both + kMostBeside) return {};
  return decline("its window takes " + megabytes(laid_out) + " for an input and output of " + megabytes(both));
}

}  // namespace

WindowLayout window_layout(const Shape& in, const Geometry& out, const Window& window, const WindowExtent& extent) {
  const WindowAxis rows{window.kernel[0], window.stride[0], window.dilation[0], extent.pads[0]};
  const WindowAxis columns{window.kernel[1], window.stride[1], window.dilation[1], extent.pads[1]};
  const auto [h, w] = image_size(in);
  return {out, h, w, rows, columns};
}

bool taps_lie_apart(const Window& window) {
  return taps_lie_apart({window.kernel[0], window.stride[0], window.dilation[0], 0},
                        {window.kernel[1], window.stride[1], window.dilation[1], 0});
}

Check check_window(const Op& op, const Shape& in, const Shape& out) {
  const std::optional<WindowUse> use = op.window_use();
  if (!use) return {};
  if (use->most_pixels) {
    const int64_t pixels = checked_mul(use->window.kernel[0], use->window.kernel[1]);
    if (pixels > *use->most_pixels) {
      return decline("its window has " + std::to_string(pixels) + " pixels; at most " +
                     std::to_string(*use->most_pixels) + " are supported");
    }
  }
  return check_memory(use->window, in, out, use->bytes);
}

}  // namespace sparsecpu
