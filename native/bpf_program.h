// A tiny assembler for eBPF: instructions by named calls, jumps to labels. Encoding: Linux, Documentation/bpf/standardization/instruction-set.rst.
//
// Registers: 0 results, 1-5 arguments (a helper call destroys them), 6-9 kept, 10 the frame of 512 bytes of stack, addressed by negative offsets.
// Every operation is 64 bits wide, except the ones that say 32.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

namespace tapbridge {

enum class Reg : uint8_t { r0, r1, r2, r3, r4, r5, r6, r7, r8, r9, frame };

enum class Width : uint8_t { word = 0x00, half = 0x08, byte = 0x10 };

class BpfProgram {
 public:
  // struct bpf_insn (include/uapi/linux/bpf.h).
  struct Instruction {
    uint8_t code;
    uint8_t registers;  // source << 4 | destination on little endian
    int16_t offset;
    int32_t immediate;
  };
  static_assert(sizeof(Instruction) == 8);

  // A place to jump to. Make it, jump to it any number of times, and put it once, further on.
  using Label = int;
  Label label() {
    places_.push_back(kNowhere);
    return static_cast<Label>(places_.size() - 1);
  }
  void put(Label label) { places_[static_cast<size_t>(label)] = here(); }

  void set(Reg to, int32_t value) { emit(kAlu64 | kMove, to, Reg::r0, 0, value); }
  // The value's bits, with zeros above.
  void set32(Reg to, int32_t value) { emit(kAlu32 | kMove, to, Reg::r0, 0, value); }
  void copy(Reg to, Reg from) { emit(kAlu64 | kMove | kRegister, to, from, 0, 0); }
  void add(Reg to, int32_t value) { emit(kAlu64 | kAdd, to, Reg::r0, 0, value); }
  void add(Reg to, Reg from) { emit(kAlu64 | kAdd | kRegister, to, from, 0, 0); }
  void mask(Reg to, int32_t value) { emit(kAlu64 | kAnd, to, Reg::r0, 0, value); }
  void shift_left(Reg to, int32_t bits) { emit(kAlu64 | kLeft, to, Reg::r0, 0, bits); }
  void shift_right(Reg to, int32_t bits) { emit(kAlu64 | kRight, to, Reg::r0, 0, bits); }
  void shift_right(Reg to, Reg bits) { emit(kAlu64 | kRight | kRegister, to, bits, 0, 0); }
  void multiply32(Reg to, int32_t value) { emit(kAlu32 | kMultiply, to, Reg::r0, 0, value); }
  void xor32(Reg to, Reg from) { emit(kAlu32 | kXor | kRegister, to, from, 0, 0); }
  void shift_right32(Reg to, int32_t bits) { emit(kAlu32 | kRight, to, Reg::r0, 0, bits); }
  // Network to host order of the lowest 16 or 32 bits; the bits above become 0.
  void from_network(Reg to, int32_t bits) { emit(kAlu32 | kEndian | kRegister, to, Reg::r0, 0, bits); }

  void load(Width width, Reg to, Reg base, int offset) { emit(kLoad | static_cast<uint8_t>(width), to, base, offset, 0); }
  void store(Width width, Reg base, int offset, Reg from) { emit(kStore | static_cast<uint8_t>(width), base, from, offset, 0); }
  // The address of a map, for a helper.
  void set_map(Reg to, int descriptor) {
    constexpr Reg kMapDescriptor{1};  // BPF_PSEUDO_MAP_FD
    emit(kLoadWide, to, kMapDescriptor, 0, descriptor);
    emit(0, Reg::r0, Reg::r0, 0, 0);
  }

  void jump(Label to) { branch(kJump, Reg::r0, Reg::r0, 0, to); }
  // Comparisons are unsigned.
  void if_equal(Reg value, int32_t with, Label to) { branch(kJump | kEqual, value, Reg::r0, with, to); }
  void if_equal(Reg value, Reg with, Label to) { branch(kJump | kEqual | kRegister, value, with, 0, to); }
  void if_not_equal(Reg value, int32_t with, Label to) { branch(kJump | kNotEqual, value, Reg::r0, with, to); }
  void if_not_equal(Reg value, Reg with, Label to) { branch(kJump | kNotEqual | kRegister, value, with, 0, to); }
  void if_greater(Reg value, int32_t than, Label to) { branch(kJump | kGreater, value, Reg::r0, than, to); }
  void if_less(Reg value, int32_t than, Label to) { branch(kJump | kLess, value, Reg::r0, than, to); }
  void if_at_most(Reg value, int32_t limit, Label to) { branch(kJump | kAtMost, value, Reg::r0, limit, to); }

  void call(int32_t helper) { emit(kJump | kCall, Reg::r0, Reg::r0, 0, helper); }
  void leave() { emit(kJump | kExit, Reg::r0, Reg::r0, 0, 0); }

  // The instructions with every jump resolved. All labels that are jumped to must have been put.
  const std::vector<Instruction>& finish() {
    for (const auto& [at, label] : jumps_) {
      code_[static_cast<size_t>(at)].offset = static_cast<int16_t>(places_[static_cast<size_t>(label)] - at - 1);
    }
    return code_;
  }

 private:
  static constexpr int kNowhere = -1;
  // Classes.
  static constexpr uint8_t kLoadWide = 0x18, kLoad = 0x61, kStore = 0x63, kAlu32 = 0x04, kJump = 0x05, kAlu64 = 0x07;
  // The second operand is a register. (For kEndian: to and from big endian.)
  static constexpr uint8_t kRegister = 0x08;
  static constexpr uint8_t kAdd = 0x00, kMultiply = 0x20, kAnd = 0x50, kLeft = 0x60, kRight = 0x70, kXor = 0xa0, kMove = 0xb0, kEndian = 0xd0;
  static constexpr uint8_t kEqual = 0x10, kGreater = 0x20, kNotEqual = 0x50, kCall = 0x80, kExit = 0x90, kLess = 0xa0, kAtMost = 0xb0;

  int here() const { return static_cast<int>(code_.size()); }

  void emit(int code, Reg destination, Reg source, int offset, int32_t immediate) {
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    const int registers = static_cast<int>(source) << 4 | static_cast<int>(destination);
#else
    const int registers = static_cast<int>(destination) << 4 | static_cast<int>(source);
#endif
    code_.push_back({static_cast<uint8_t>(code), static_cast<uint8_t>(registers), static_cast<int16_t>(offset), immediate});
  }

  void branch(int code, Reg value, Reg with, int32_t immediate, Label to) {
    jumps_.emplace_back(here(), to);
    emit(code, value, with, 0, immediate);
  }

  std::vector<Instruction> code_;
  std::vector<int> places_;
  std::vector<std::pair<int, Label>> jumps_;
};

}  // namespace tapbridge
