//! The structure itself.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Access, BranchSampleType, Event, Named, ReadFormat, SampleType, Software};

/// Declares the structure, its `Display` and its file format from one list of fields.
macro_rules! perf_event_attr {
    (
        numbers { $($(#[$number_doc:meta])* $number:ident: $type:ty,)* }
        sets { $($(#[$set_doc:meta])* $set:ident: $bit:ty,)* }
        flags { $($(#[$flag_doc:meta])* $flag:ident,)* }
    ) => {
        /// What to count and how. Omitted fields are zero.
        ///
        // `remote` makes the derived functions inherent, so the trait can call `check` after them.
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(remote = "Self", deny_unknown_fields)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        pub struct PerfEventAttr {
            /// `type` and `config` together, by name.
            pub event: Event,
            $($(#[$number_doc])* #[serde(default)] pub $number: $type,)*
            $($(#[$set_doc])* #[serde(default)] pub $set: Vec<$bit>,)*
            $($(#[$flag_doc])* #[serde(default)] pub $flag: bool,)*
        }

        /// An event that counts nothing, and every field zero.
        impl Default for PerfEventAttr {
            fn default() -> Self {
                Self {
                    event: Event::Software(Software::Dummy),
                    $($number: 0,)*
                    $($set: Vec::new(),)*
                    $($flag: false,)*
                }
            }
        }

        /// The event and what differs from zero, as strace would write it.
        impl fmt::Display for PerfEventAttr {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.event)?;
                $(if self.$number != 0 {
                    write!(f, ", {}={}", stringify!($number), self.$number)?;
                })*
                $(if !self.$set.is_empty() {
                    let names: Vec<_> = self.$set.iter().map(|bit| bit.name()).collect();
                    write!(f, ", {}={}", stringify!($set), names.join("|"))?;
                })*
                $(if self.$flag {
                    f.write_str(concat!(", ", stringify!($flag)))?;
                })*
                Ok(())
            }
        }
    };
}

perf_event_attr! {
    numbers {
        /// `size` field in bytes; 0 stands for the size of the whole structure.
        size: u32,
        /// More of what to count, for events that do not determine it.
        config: u64,
        /// More of what to count.
        config1: u64,
        /// More of what to count.
        config2: u64,
        /// More of what to count.
        config3: u64,
        /// More of what to count.
        config4: u64,
        /// Sample after this number of events; from 2^63 on, write it as `"0x8000000000000000"`.
        #[serde(with = "crate::number::wide")]
        #[cfg_attr(feature = "schema", schemars(schema_with = "crate::number::wide::schema"))]
        sample_period: u64,
        /// Samples per second; sets `freq` as well, without which it would be a period.
        sample_freq: u64,
        /// Samples until the reader wakes up.
        wakeup_events: u32,
        /// Bytes until the reader wakes up, with `watermark`.
        wakeup_watermark: u32,
        /// 0 arbitrary skid, 1 constant, 2 requested to be zero, 3 must be zero.
        precise_ip: u8,
        /// Address of a breakpoint, for events that do not determine it.
        bp_addr: u64,
        /// Length of a breakpoint in bytes; 0 stands for 4, or for 8 on execution.
        bp_len: u64,
        /// Mask of user registers to sample.
        sample_regs_user: u64,
        /// Mask of registers to sample at the interrupt, including those of the kernel.
        sample_regs_intr: u64,
        /// Bytes of user stack to sample.
        sample_stack_user: u32,
        /// Clock id, with `use_clockid`.
        clockid: i32,
        /// Bytes of AUX data until the reader wakes up.
        aux_watermark: u32,
        /// Longest call chain.
        sample_max_stack: u16,
        /// Bytes of AUX data to sample.
        aux_sample_size: u32,
        /// Value that `sigtrap` passes to the signal handler.
        sig_data: u64,
        /// `__reserved_2`, which must be zero.
        reserved: u16,
        /// The word behind the structure, which a `size` of 152 includes.
        beyond: u64,
    }
    sets {
        /// Contents of each sample.
        sample_type: SampleType,
        /// Contents of what `read(2)` returns.
        read_format: ReadFormat,
        /// Branches to sample.
        branch_sample_type: BranchSampleType,
        /// Accesses that trigger a breakpoint; determined by `breakpoint` events.
        bp_type: Access,
    }
    flags {
        /// Start disabled.
        disabled,
        /// Children of the task inherit it.
        inherit,
        /// Always on the PMU, or in error.
        pinned,
        /// The only group on the PMU.
        exclusive,
        /// Do not count in user mode.
        exclude_user,
        /// Do not count in the kernel.
        exclude_kernel,
        /// Do not count in the hypervisor.
        exclude_hv,
        /// Do not count when idle.
        exclude_idle,
        /// Record mappings of code.
        mmap,
        /// Record changes of comm.
        comm,
        /// Use `sample_freq` instead of `sample_period`.
        freq,
        /// Save counts per task.
        inherit_stat,
        /// Enable at the next exec.
        enable_on_exec,
        /// Record fork and exit.
        task,
        /// Use `wakeup_watermark` instead of `wakeup_events`.
        watermark,
        /// Record mappings of data.
        mmap_data,
        /// Records other than samples carry sample fields.
        sample_id_all,
        /// Do not count in the host.
        exclude_host,
        /// Do not count in guests.
        exclude_guest,
        /// Omit the kernel part of call chains.
        exclude_callchain_kernel,
        /// Omit the user part of call chains.
        exclude_callchain_user,
        /// Record mappings with inode data.
        mmap2,
        /// Mark changes of comm by exec.
        comm_exec,
        /// Time stamps by `clockid`.
        use_clockid,
        /// Record context switches.
        context_switch,
        /// Write the buffer from its end.
        write_backward,
        /// Record namespace changes.
        namespaces,
        /// Record new and removed symbols.
        ksymbol,
        /// Record new and removed BPF programs.
        bpf_event,
        /// Generate AUX records instead of events.
        aux_output,
        /// Record cgroups.
        cgroup,
        /// Record modifications of the kernel's text.
        text_poke,
        /// Mappings carry a build id instead of inode data.
        build_id,
        /// Only threads inherit the event.
        inherit_thread,
        /// Removed from a task at exec.
        remove_on_exec,
        /// Send a synchronous SIGTRAP for each event.
        sigtrap,
        /// Defer user call chains to the return to user mode.
        defer_callchain,
        /// Record deferred call chains.
        defer_output,
        /// The last bit of the word with these flags: no kernel knows it.
        unknown_bit,
        /// AUX: start paused.
        aux_start_paused,
        /// AUX: pause at an overflow.
        aux_pause,
        /// AUX: resume at an overflow.
        aux_resume,
    }
}

impl PerfEventAttr {
    /// Refuses two fields at the same offset, and fields that the event determines.
    fn check(self) -> Result<Self, String> {
        let by_event = |set: bool, field: &str| match set {
            true => Err(format!("`{}` already sets `{field}`", self.event)),
            false => Ok(()),
        };
        by_event(self.config != 0 && self.event.sets_config(), "config")?;
        by_event(self.bp_addr != 0 && self.event.sets_config1(), "bp_addr")?;
        by_event(self.config1 != 0 && self.event.sets_config1(), "config1")?;
        let breakpoint = matches!(self.event, Event::Breakpoint { .. });
        by_event(!self.bp_type.is_empty() && breakpoint, "bp_type")?;
        for (one, other, names) in [
            (self.sample_period, self.sample_freq, ["sample_period", "sample_freq"]),
            (self.bp_addr, self.config1, ["bp_addr", "config1"]),
            (self.bp_len, self.config2, ["bp_len", "config2"]),
            (
                self.wakeup_events.into(),
                self.wakeup_watermark.into(),
                ["wakeup_events", "wakeup_watermark"],
            ),
        ] {
            if one != 0 && other != 0 {
                return Err(format!("`{}` and `{}` are the same field", names[0], names[1]));
            }
        }
        if self.precise_ip > 3 {
            return Err(format!("`precise_ip` is {}, but has only two bits", self.precise_ip));
        }
        Ok(self)
    }
}

impl<'de> Deserialize<'de> for PerfEventAttr {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::deserialize(deserializer)?.check().map_err(serde::de::Error::custom)
    }
}

impl Serialize for PerfEventAttr {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Self::serialize(self, serializer)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn attr(change: impl FnOnce(&mut PerfEventAttr)) -> PerfEventAttr {
        let mut attr = PerfEventAttr::default();
        change(&mut attr);
        attr
    }

    #[rstest]
    #[case(attr(|_| ()), "software/dummy")]
    #[case(attr(|it| it.exclude_kernel = true), "software/dummy, exclude_kernel")]
    #[case(
        attr(|it| {
            it.sigtrap = true;
            it.sample_period = 1000;
            it.sample_type = vec![SampleType::Ip, SampleType::PhysAddr];
            it.disabled = true;
        }),
        "software/dummy, sample_period=1000, sample_type=IP|PHYS_ADDR, disabled, sigtrap"
    )]
    #[case(
        attr(|it| {
            it.branch_sample_type = vec![BranchSampleType::Kernel, BranchSampleType::AnyCall];
        }),
        "software/dummy, branch_sample_type=KERNEL|ANY_CALL"
    )]
    #[case(attr(|it| it.clockid = -1), "software/dummy, clockid=-1")]
    fn only_fields_that_differ_from_zero_are_shown(
        #[case] attr: PerfEventAttr,
        #[case] shown: &str,
    ) {
        assert_eq!(attr.to_string(), shown);
    }

    #[rstest]
    #[case("breakpoint/rw:own", |it: &mut PerfEventAttr| it.bp_len = 1, None)]
    #[case(
        "breakpoint/rw:own",
        |it: &mut PerfEventAttr| it.bp_type = vec![Access::X],
        Some("bp_type")
    )]
    #[case("breakpoint/rw:own", |it: &mut PerfEventAttr| it.bp_addr = 1, Some("bp_addr"))]
    #[case("kprobe/do_exit", |it: &mut PerfEventAttr| it.config = 1, None)]
    #[case("kprobe/do_exit", |it: &mut PerfEventAttr| it.config1 = 1, Some("config1"))]
    #[case("software/dummy", |it: &mut PerfEventAttr| it.config = 1, Some("config"))]
    #[case("raw/0x3c", |it: &mut PerfEventAttr| it.config1 = 1, None)]
    #[case(
        "software/dummy",
        |it: &mut PerfEventAttr| (it.sample_period, it.sample_freq) = (1, 1),
        Some("`sample_period` and `sample_freq` are the same field")
    )]
    #[case("software/dummy", |it: &mut PerfEventAttr| it.precise_ip = 4, Some("only two bits"))]
    fn a_field_that_is_set_twice_is_refused(
        #[case] event: Event,
        #[case] change: fn(&mut PerfEventAttr),
        #[case] part: Option<&str>,
    ) {
        let sent = attr(|it| {
            it.event = event;
            change(it);
        });
        let received: Result<PerfEventAttr, _> =
            postcard::from_bytes(&postcard::to_stdvec(&sent).unwrap());
        match part {
            None => assert_eq!(received.unwrap(), sent),
            Some(part) => {
                assert!(received.is_err());
                let error = sent.check().unwrap_err();
                assert!(error.contains(part), "{error}");
            }
        }
    }
}
