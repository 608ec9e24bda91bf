// How products of bfloat16 are computed on this CPU: as is fast on it, which its flags do not tell. AVX512-BF16's
// instruction does the work of two FMAs; on AMD it takes the time of one, on Intel that of four. Model numbers are no
// help: a hypervisor shows the one that it likes. So the instruction is timed beside an FMA, once a process and only
// where there is a choice. That takes 0.1 ms, and the true ratios (1, 2, 4) are far enough from the bound for noise
// never to change the answer.
#pragma once

#include <string>
#include <vector>

namespace wde::kernels {

// Whether a Linear of bfloat16 weights multiplies with gemm_bf16_pairs(), else with gemm_bf16().
bool bf16_pairs() noexcept;
// Whether gemm_bf16_pairs() multiplies tiles.
bool bf16_tiles() noexcept;
// Whether attention beside layers in bfloat16 or int8 multiplies pairs: AMX has no part in it.
bool bf16_attention() noexcept;

// What Linears use: "AMX-BF16" and "AVX512-BF16" are gemm_bf16_pairs()'s, "FLOAT32" is gemm_bf16().
std::string bf16_kernel();
std::vector<std::string> bf16_runnable();  // best first, if all were as fast as they could be
std::string bf16_reason();                 // a sentence
// The environment variable WDE_BFLOAT16_KERNEL names one; a sentence if it is none that runs here, else "".
std::string bf16_setting_problem();

// What the instruction takes, in FMAs; 0: this CPU does not have it.
double bf16_pair_cost() noexcept;

// Tests only: a runnable one by name, for attention too; back to what is chosen with "".
void force_bf16_kernel(const std::string& name);

}  // namespace wde::kernels
