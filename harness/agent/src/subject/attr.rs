//! Converts a case's `perf_event_attr` to the kernel's.

use std::path::PathBuf;

use perf_event_open_sys::bindings as perf;
use perf_event_open_sys::bindings::perf_event_attr;
use perfsec_wire::attr::{
    Access, Address, BranchSampleType, Event, Hardware, PerfEventAttr, ReadFormat, SampleType,
    Software,
};
use perfsec_wire::step::Step;

use super::names::Names;
use crate::error::{Error, Result};
use crate::knob;
use crate::trace::tracefs;

/// `__START_KERNEL_map`: in the kernel's half of the address space, and below everything mapped
/// there, so a breakpoint on it is never hit.
#[cfg(target_arch = "x86_64")]
const KERNEL: u64 = 0xffff_ffff_8000_0000;

/// A bit of a 64-bit set that no kernel defines. The highest marks an early call chain inside older
/// kernels (`__PERF_SAMPLE_CALLCHAIN_EARLY`).
pub(crate) const UNKNOWN_BIT: u64 = 1 << 62;

/// Targets in the subject itself: of breakpoints and uprobes.
pub(crate) struct OwnTargets<'a> {
    /// Address of a variable of eight bytes, aligned to its size.
    pub(crate) variable: u64,
    /// Path of the executable, as the subject sees it.
    pub(crate) path: &'a str,
    /// Offset in the executable of an instruction.
    pub(crate) offset: u64,
}

/// The `type` of each dynamic PMU that steps name: a subject cannot read sysfs.
pub(crate) fn pmus<'a>(steps: impl Iterator<Item = &'a Step>) -> Result<Vec<(String, u32)>> {
    let wanted = steps.filter_map(|step| match step {
        Step::PerfEventOpen(open) => open.attr.event.pmu(),
        _ => None,
    });
    wanted
        .map(|pmu| {
            let doing = format!("look up the PMU {pmu}");
            let text = knob::read(format!("/sys/bus/event_source/devices/{pmu}/type"))
                .map_err(|error| Error { doing: doing.clone(), ..error })?;
            let number = text.parse().map_err(|_| Error::new(doing, &text))?;
            Ok((pmu.to_owned(), number))
        })
        .collect()
}

/// The tracepoint of a step's event, and the file with its number.
pub(crate) fn tracepoint(step: &Step) -> Option<(String, PathBuf)> {
    match step {
        Step::PerfEventOpen(open) => match &open.attr.event {
            Event::Tracepoint { category, name } => {
                let file = tracefs().join("events").join(category).join(name).join("id");
                Some((format!("{category}:{name}"), file))
            }
            _ => None,
        },
        _ => None,
    }
}

/// The kernel's structure. `place` stores bytes that the structure points to, and returns their
/// address in the process that will use it.
///
/// # Errors
///
/// The tracepoint or PMU that has no number here.
pub(crate) fn attr(
    wanted: &PerfEventAttr,
    names: &Names,
    own: &OwnTargets<'_>,
    place: &mut dyn FnMut(&[u8]) -> u64,
) -> std::result::Result<perf_event_attr, String> {
    let mut attr = fields(wanted);
    let mut text = |text: &str| place(&[text.as_bytes(), &[0]].concat());
    if let Some(pmu) = wanted.event.pmu() {
        let found = names.pmus.iter().find(|(name, _)| name == pmu);
        attr.type_ = found.ok_or_else(|| format!("the PMU {pmu}"))?.1;
    }
    match &wanted.event {
        Event::Software(event) => {
            attr.type_ = perf::PERF_TYPE_SOFTWARE;
            attr.config = software(*event).into();
        }
        Event::Hardware(event) => {
            attr.type_ = perf::PERF_TYPE_HARDWARE;
            attr.config = hardware(*event).into();
        }
        Event::Tracepoint { category, name } => {
            let wanted = format!("{category}:{name}");
            let found = names.tracepoints.iter().find(|(name, _)| *name == wanted);
            attr.type_ = perf::PERF_TYPE_TRACEPOINT;
            attr.config = found.ok_or(wanted)?.1;
        }
        Event::Breakpoint { access: kinds, address } => {
            attr.type_ = perf::PERF_TYPE_BREAKPOINT;
            attr.bp_type = access(kinds);
            attr.__bindgen_anon_3.bp_addr = match address {
                Address::Own => own.variable,
                Address::Kernel => KERNEL,
                Address::At(address) => *address,
            };
            if wanted.bp_len == 0 {
                // arch_build_bp_info() accepts only sizeof(long) for execution.
                let execution = kinds.contains(&Access::X);
                attr.__bindgen_anon_4.bp_len = if execution { 8 } else { 4 };
            }
        }
        Event::Kprobe(symbol) => attr.__bindgen_anon_3.kprobe_func = text(symbol),
        Event::Uprobe => {
            attr.__bindgen_anon_3.uprobe_path = text(own.path);
            attr.__bindgen_anon_4.probe_offset = own.offset;
        }
        Event::Raw(config) => {
            attr.type_ = perf::PERF_TYPE_RAW;
            attr.config = *config;
        }
        Event::Pmu { config, .. } => attr.config = *config,
        Event::Type { number, config } => {
            attr.type_ = *number;
            attr.config = *config;
        }
    }
    Ok(attr)
}

/// The fields that both structures have.
fn fields(wanted: &PerfEventAttr) -> perf_event_attr {
    let mut attr = perf_event_attr {
        // Fields newer than the kernel are zero, which perf_copy_attr() accepts at any size.
        size: match wanted.size {
            0 => size_of::<perf_event_attr>() as u32,
            size => size,
        },
        config: wanted.config,
        config3: wanted.config3,
        config4: wanted.config4,
        sample_type: wanted.sample_type.iter().fold(0, |all, bit| all | sample_type(*bit)),
        read_format: wanted.read_format.iter().fold(0, |all, bit| all | read_format(*bit)),
        branch_sample_type: wanted.branch_sample_type.iter().fold(0, |all, bit| all | branch(*bit)),
        bp_type: access(&wanted.bp_type),
        sample_regs_user: wanted.sample_regs_user,
        sample_regs_intr: wanted.sample_regs_intr,
        sample_stack_user: wanted.sample_stack_user,
        clockid: wanted.clockid,
        aux_watermark: wanted.aux_watermark,
        sample_max_stack: wanted.sample_max_stack,
        aux_sample_size: wanted.aux_sample_size,
        sig_data: wanted.sig_data,
        __reserved_2: wanted.reserved,
        ..perf_event_attr::default()
    };
    // `PerfEventAttr` checks that at most one of two fields at the same offset is set.
    attr.__bindgen_anon_1.sample_period = wanted.sample_period | wanted.sample_freq;
    attr.__bindgen_anon_2.wakeup_events = wanted.wakeup_events | wanted.wakeup_watermark;
    attr.__bindgen_anon_3.config1 = wanted.config1 | wanted.bp_addr;
    attr.__bindgen_anon_4.config2 = wanted.config2 | wanted.bp_len;
    flags(wanted, &mut attr);
    attr
}

fn flags(wanted: &PerfEventAttr, attr: &mut perf_event_attr) {
    attr.set_disabled(wanted.disabled.into());
    attr.set_inherit(wanted.inherit.into());
    attr.set_pinned(wanted.pinned.into());
    attr.set_exclusive(wanted.exclusive.into());
    attr.set_exclude_user(wanted.exclude_user.into());
    attr.set_exclude_kernel(wanted.exclude_kernel.into());
    attr.set_exclude_hv(wanted.exclude_hv.into());
    attr.set_exclude_idle(wanted.exclude_idle.into());
    attr.set_mmap(wanted.mmap.into());
    attr.set_comm(wanted.comm.into());
    attr.set_freq((wanted.freq || wanted.sample_freq != 0).into());
    attr.set_inherit_stat(wanted.inherit_stat.into());
    attr.set_enable_on_exec(wanted.enable_on_exec.into());
    attr.set_task(wanted.task.into());
    attr.set_watermark(wanted.watermark.into());
    attr.set_precise_ip(wanted.precise_ip.into());
    attr.set_mmap_data(wanted.mmap_data.into());
    attr.set_sample_id_all(wanted.sample_id_all.into());
    attr.set_exclude_host(wanted.exclude_host.into());
    attr.set_exclude_guest(wanted.exclude_guest.into());
    attr.set_exclude_callchain_kernel(wanted.exclude_callchain_kernel.into());
    attr.set_exclude_callchain_user(wanted.exclude_callchain_user.into());
    attr.set_mmap2(wanted.mmap2.into());
    attr.set_comm_exec(wanted.comm_exec.into());
    attr.set_use_clockid(wanted.use_clockid.into());
    attr.set_context_switch(wanted.context_switch.into());
    attr.set_write_backward(wanted.write_backward.into());
    attr.set_namespaces(wanted.namespaces.into());
    attr.set_ksymbol(wanted.ksymbol.into());
    attr.set_bpf_event(wanted.bpf_event.into());
    attr.set_aux_output(wanted.aux_output.into());
    attr.set_cgroup(wanted.cgroup.into());
    attr.set_text_poke(wanted.text_poke.into());
    attr.set_build_id(wanted.build_id.into());
    attr.set_inherit_thread(wanted.inherit_thread.into());
    attr.set_remove_on_exec(wanted.remove_on_exec.into());
    attr.set_sigtrap(wanted.sigtrap.into());
    attr.set_defer_callchain(wanted.defer_callchain.into());
    attr.set_defer_output(wanted.defer_output.into());
    attr._bitfield_1.set_bit(63, wanted.unknown_bit);
    let mut aux = perf::perf_event_attr__bindgen_ty_5__bindgen_ty_1::default();
    aux.set_aux_start_paused(wanted.aux_start_paused.into());
    aux.set_aux_pause(wanted.aux_pause.into());
    aux.set_aux_resume(wanted.aux_resume.into());
    attr.__bindgen_anon_5.__bindgen_anon_1 = aux;
}

fn access(bits: &[Access]) -> u32 {
    bits.iter().fold(0, |all, bit| {
        all | match bit {
            Access::R => perf::HW_BREAKPOINT_R,
            Access::W => perf::HW_BREAKPOINT_W,
            Access::X => perf::HW_BREAKPOINT_X,
        }
    })
}

fn software(event: Software) -> u32 {
    match event {
        Software::CpuClock => perf::PERF_COUNT_SW_CPU_CLOCK,
        Software::TaskClock => perf::PERF_COUNT_SW_TASK_CLOCK,
        Software::PageFaults => perf::PERF_COUNT_SW_PAGE_FAULTS,
        Software::ContextSwitches => perf::PERF_COUNT_SW_CONTEXT_SWITCHES,
        Software::CpuMigrations => perf::PERF_COUNT_SW_CPU_MIGRATIONS,
        Software::MinorFaults => perf::PERF_COUNT_SW_PAGE_FAULTS_MIN,
        Software::MajorFaults => perf::PERF_COUNT_SW_PAGE_FAULTS_MAJ,
        Software::AlignmentFaults => perf::PERF_COUNT_SW_ALIGNMENT_FAULTS,
        Software::EmulationFaults => perf::PERF_COUNT_SW_EMULATION_FAULTS,
        Software::Dummy => perf::PERF_COUNT_SW_DUMMY,
        Software::BpfOutput => perf::PERF_COUNT_SW_BPF_OUTPUT,
        Software::CgroupSwitches => perf::PERF_COUNT_SW_CGROUP_SWITCHES,
    }
}

fn hardware(event: Hardware) -> u32 {
    match event {
        Hardware::CpuCycles => perf::PERF_COUNT_HW_CPU_CYCLES,
        Hardware::Instructions => perf::PERF_COUNT_HW_INSTRUCTIONS,
        Hardware::CacheReferences => perf::PERF_COUNT_HW_CACHE_REFERENCES,
        Hardware::CacheMisses => perf::PERF_COUNT_HW_CACHE_MISSES,
        Hardware::BranchInstructions => perf::PERF_COUNT_HW_BRANCH_INSTRUCTIONS,
        Hardware::BranchMisses => perf::PERF_COUNT_HW_BRANCH_MISSES,
        Hardware::BusCycles => perf::PERF_COUNT_HW_BUS_CYCLES,
        Hardware::StalledCyclesFrontend => perf::PERF_COUNT_HW_STALLED_CYCLES_FRONTEND,
        Hardware::StalledCyclesBackend => perf::PERF_COUNT_HW_STALLED_CYCLES_BACKEND,
        Hardware::RefCycles => perf::PERF_COUNT_HW_REF_CPU_CYCLES,
    }
}

fn sample_type(bit: SampleType) -> u64 {
    u64::from(match bit {
        SampleType::Ip => perf::PERF_SAMPLE_IP,
        SampleType::Tid => perf::PERF_SAMPLE_TID,
        SampleType::Time => perf::PERF_SAMPLE_TIME,
        SampleType::Addr => perf::PERF_SAMPLE_ADDR,
        SampleType::Read => perf::PERF_SAMPLE_READ,
        SampleType::Callchain => perf::PERF_SAMPLE_CALLCHAIN,
        SampleType::Id => perf::PERF_SAMPLE_ID,
        SampleType::Cpu => perf::PERF_SAMPLE_CPU,
        SampleType::Period => perf::PERF_SAMPLE_PERIOD,
        SampleType::StreamId => perf::PERF_SAMPLE_STREAM_ID,
        SampleType::Raw => perf::PERF_SAMPLE_RAW,
        SampleType::BranchStack => perf::PERF_SAMPLE_BRANCH_STACK,
        SampleType::RegsUser => perf::PERF_SAMPLE_REGS_USER,
        SampleType::StackUser => perf::PERF_SAMPLE_STACK_USER,
        SampleType::Weight => perf::PERF_SAMPLE_WEIGHT,
        SampleType::DataSrc => perf::PERF_SAMPLE_DATA_SRC,
        SampleType::Identifier => perf::PERF_SAMPLE_IDENTIFIER,
        SampleType::Transaction => perf::PERF_SAMPLE_TRANSACTION,
        SampleType::RegsIntr => perf::PERF_SAMPLE_REGS_INTR,
        SampleType::PhysAddr => perf::PERF_SAMPLE_PHYS_ADDR,
        SampleType::Aux => perf::PERF_SAMPLE_AUX,
        SampleType::Cgroup => perf::PERF_SAMPLE_CGROUP,
        SampleType::DataPageSize => perf::PERF_SAMPLE_DATA_PAGE_SIZE,
        SampleType::CodePageSize => perf::PERF_SAMPLE_CODE_PAGE_SIZE,
        SampleType::WeightStruct => perf::PERF_SAMPLE_WEIGHT_STRUCT,
        SampleType::Unknown => return UNKNOWN_BIT,
    })
}

fn read_format(bit: ReadFormat) -> u64 {
    u64::from(match bit {
        ReadFormat::TotalTimeEnabled => perf::PERF_FORMAT_TOTAL_TIME_ENABLED,
        ReadFormat::TotalTimeRunning => perf::PERF_FORMAT_TOTAL_TIME_RUNNING,
        ReadFormat::Id => perf::PERF_FORMAT_ID,
        ReadFormat::Group => perf::PERF_FORMAT_GROUP,
        ReadFormat::Lost => perf::PERF_FORMAT_LOST,
        ReadFormat::Unknown => return UNKNOWN_BIT,
    })
}

fn branch(bit: BranchSampleType) -> u64 {
    u64::from(match bit {
        BranchSampleType::User => perf::PERF_SAMPLE_BRANCH_USER,
        BranchSampleType::Kernel => perf::PERF_SAMPLE_BRANCH_KERNEL,
        BranchSampleType::Hv => perf::PERF_SAMPLE_BRANCH_HV,
        BranchSampleType::Any => perf::PERF_SAMPLE_BRANCH_ANY,
        BranchSampleType::AnyCall => perf::PERF_SAMPLE_BRANCH_ANY_CALL,
        BranchSampleType::AnyReturn => perf::PERF_SAMPLE_BRANCH_ANY_RETURN,
        BranchSampleType::IndCall => perf::PERF_SAMPLE_BRANCH_IND_CALL,
        BranchSampleType::AbortTx => perf::PERF_SAMPLE_BRANCH_ABORT_TX,
        BranchSampleType::InTx => perf::PERF_SAMPLE_BRANCH_IN_TX,
        BranchSampleType::NoTx => perf::PERF_SAMPLE_BRANCH_NO_TX,
        BranchSampleType::Cond => perf::PERF_SAMPLE_BRANCH_COND,
        BranchSampleType::CallStack => perf::PERF_SAMPLE_BRANCH_CALL_STACK,
        BranchSampleType::IndJump => perf::PERF_SAMPLE_BRANCH_IND_JUMP,
        BranchSampleType::Call => perf::PERF_SAMPLE_BRANCH_CALL,
        BranchSampleType::NoFlags => perf::PERF_SAMPLE_BRANCH_NO_FLAGS,
        BranchSampleType::NoCycles => perf::PERF_SAMPLE_BRANCH_NO_CYCLES,
        BranchSampleType::TypeSave => perf::PERF_SAMPLE_BRANCH_TYPE_SAVE,
        BranchSampleType::HwIndex => perf::PERF_SAMPLE_BRANCH_HW_INDEX,
        BranchSampleType::PrivSave => perf::PERF_SAMPLE_BRANCH_PRIV_SAVE,
        BranchSampleType::Counters => perf::PERF_SAMPLE_BRANCH_COUNTERS,
        BranchSampleType::Unknown => return UNKNOWN_BIT,
    })
}

#[cfg(test)]
mod tests {
    use perfsec_wire::attr::Named;
    use rstest::rstest;

    use super::*;

    const OWN: OwnTargets<'static> = OwnTargets { variable: 0x1000, path: "/own", offset: 0x40 };

    /// The structure as 64-bit words (`include/uapi/linux/perf_event.h`), and what was placed.
    fn words(wanted: &PerfEventAttr) -> std::result::Result<([u64; 18], Vec<u8>), String> {
        let names = Names {
            tracepoints: vec![("sched:sched_switch".to_owned(), 300)],
            pmus: vec![("kprobe".to_owned(), 8), ("uprobe".to_owned(), 9)],
            ..Names::default()
        };
        let mut placed = Vec::new();
        let attr = attr(wanted, &names, &OWN, &mut |bytes| {
            placed.extend_from_slice(bytes);
            0x7000
        })?;
        let mut words = [0; 18];
        for (word, bytes) in words.iter_mut().zip(crate::sys::bytes_of_attr(&attr).chunks_exact(8))
        {
            *word = u64::from_ne_bytes(bytes.try_into().unwrap());
        }
        Ok((words, placed))
    }

    fn event(text: &str) -> PerfEventAttr {
        PerfEventAttr { event: text.parse().unwrap(), ..PerfEventAttr::default() }
    }

    fn dummy() -> PerfEventAttr {
        event("software/dummy")
    }

    // The first word is `type` and `size`; words 7 and 8 are bp_addr and bp_len.
    #[rstest]
    #[case("software/cgroup-switches", 1, 11, [0, 0], "")]
    #[case("hardware/ref-cycles", 0, 9, [0, 0], "")]
    #[case("tracepoint/sched:sched_switch", 2, 300, [0, 0], "")]
    #[case("breakpoint/rw:own", 5, 0, [0x1000, 4], "")]
    #[case("breakpoint/x:kernel", 5, 0, [KERNEL, 8], "")]
    #[case("kprobe/do_exit", 8, 0, [0x7000, 0], "do_exit\0")]
    #[case("uprobe/own", 9, 0, [0x7000, 0x40], "/own\0")]
    #[case("raw/0x1c2", 4, 0x1c2, [0, 0], "")]
    #[case("pmu/kprobe/0x1", 8, 1, [0, 0], "")]
    #[case("type/7/0xfffff", 7, 0xfffff, [0, 0], "")]
    fn an_event_becomes_type_config_and_what_they_point_to(
        #[case] text: &str,
        #[case] type_: u64,
        #[case] config: u64,
        #[case] place: [u64; 2],
        #[case] placed: &str,
    ) {
        let (words, bytes) = words(&event(text)).unwrap();
        assert_eq!(words[0], 144 << 32 | type_);
        assert_eq!(words[1], config);
        assert_eq!(words[7..9], place);
        assert_eq!(bytes, placed.as_bytes());
    }

    #[rstest]
    #[case("tracepoint/sched:sched_swith", "sched:sched_swith")]
    #[case("pmu/msr/0x1", "the PMU msr")]
    fn an_event_without_a_number_is_named(#[case] text: &str, #[case] named: &str) {
        assert_eq!(words(&event(text)).unwrap_err(), named);
    }

    #[test]
    fn all_bits_of_a_set_differ() {
        fn union<T: Named>(bit: impl Fn(T) -> u64) -> u64 {
            T::NAMES.iter().fold(0, |all, (constant, name)| {
                let bit = bit(*constant);
                assert_eq!(bit.count_ones(), 1, "{name}");
                assert_eq!(all & bit, 0, "{name}");
                all | bit
            })
        }
        assert_eq!(union(sample_type), (u64::from(perf::PERF_SAMPLE_MAX) - 1) | UNKNOWN_BIT);
        assert_eq!(union(read_format), (u64::from(perf::PERF_FORMAT_MAX) - 1) | UNKNOWN_BIT);
        assert_eq!(union(branch), (u64::from(perf::PERF_SAMPLE_BRANCH_MAX) - 1) | UNKNOWN_BIT);
        assert_eq!(union(|bit| access(&[bit]).into()), 7);
    }

    #[rstest]
    #[case(PerfEventAttr { sample_freq: 99, ..dummy() }, 2, 99)]
    #[case(PerfEventAttr { sample_freq: 99, ..dummy() }, 5, 1 << 10)]
    #[case(PerfEventAttr { sample_type: vec![SampleType::Raw], ..dummy() }, 3, 1 << 10)]
    #[case(PerfEventAttr { sigtrap: true, ..dummy() }, 5, 1 << 37)]
    #[case(PerfEventAttr { precise_ip: 3, exclude_hv: true, ..dummy() }, 5, 3 << 15 | 1 << 6)]
    #[case(PerfEventAttr { wakeup_events: 5, ..dummy() }, 6, 5)]
    #[case(PerfEventAttr { bp_len: 2, ..event("breakpoint/w:own") }, 8, 2)]
    #[case(
        PerfEventAttr { clockid: -1, sample_stack_user: 8, ..dummy() },
        11,
        0xffff_ffff_0000_0008
    )]
    #[case(PerfEventAttr { aux_resume: true, aux_sample_size: 1, ..dummy() }, 14, 4 << 32 | 1)]
    #[case(PerfEventAttr { size: 64, ..dummy() }, 0, 64 << 32 | 1)]
    #[case(PerfEventAttr { reserved: 1, ..dummy() }, 13, 1 << 48)]
    #[case(PerfEventAttr { unknown_bit: true, ..dummy() }, 5, 1 << 63)]
    fn a_field_is_at_the_kernels_offset(
        #[case] wanted: PerfEventAttr,
        #[case] word: usize,
        #[case] value: u64,
    ) {
        assert_eq!(words(&wanted).unwrap().0[word], value);
    }
}
