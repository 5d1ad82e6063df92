"""What was done by hand while the recordings were made."""

from collections.abc import Mapping

_FAILS = "fault task-fails times=all"

_SPOILS = "fault task-spoiled"

_NO_QEMU = "start failed: QEMU exited with code 1"

_DUMP_210 = "UPID:pve1:00003E9F:0009FC9D:6B050C53:vzdump:210:root@pam!test:"

_GUEST_420 = "hostname=ct420 memory=128 arch=amd64 rootfs=shared:420/vm-420-disk-0.raw,size=1G"

_GUEST_404 = (
    "name=liv404 memory=192 kvm=0 agent=1 serial0=socket "
    "boot=order=scsi0 scsi0=local:404/vm-404-disk-0.qcow2,size=64M "
    "net0=virtio=BC:24:11:00:04:04,bridge=vmbr0"
)

ACTS: Mapping[str, Mapping[int, tuple[str, ...]]] = {
    "daemon down": {20_000: ("node pve1 daemon down",)},
    "running vm": {
        9_000: ("image local:150/vm-150-state-suspend-2026-11-24.raw",),
        9_071: (f'{_SPOILS} task=qmsnapshot text="WARNINGS: 2"',),
        9_038: ("call PUT /nodes/pve1/qemu/150/config delete=net1",),
    },
    "stopped guests": {
        5_000: ("guest 102 set memory=256", "guest 102 unset scsi3 unused0"),
        5_102: ("lock 122 backup",),
        10_000: ("guest 200 destroy",),
        12_015: ("guest 160 destroy",),
    },
    "two nodes": {
        13_058: ("node cl2 proxy down",),
        13_064: ("node cl2 down", "wait 9"),
    },
    "guest os": {
        30_000: ("adopt 500", "guest 500 set cores=1 memory=256", "guest 500 unset description"),
        30_012: ("guest 212 destroy",),
        30_059: ("adopt 500", "guest 500 stop", "guest 500 agent hang"),
        30_070: ("guest 500 agent answer",),
        30_106: ("guest 500 stop", "lock 500 suspended"),
        30_109: (
            "adopt 500",
            "guest 500 stop",
            "guest 500 set cores=1 memory=256",
            "guest 500 unset lock vmstate runningmachine runningcpu running-nets-host-mtu",
        ),
        30_353: ("guest 500 crash",),
    },
    "containers": {
        32_084: ("guest 210 acpi deaf",),
        32_150: (
            "guest 210 acpi listen",
            f"call DELETE /nodes/pve1/tasks/{_DUMP_210}",
            "guest 210 crash",
            "unlock 210",
        ),
        32_166: ("guest 210 crash",),
        32_172: ("guest 210 crash",),
    },
    "ha": {
        31_000: (
            "guest 420 destroy",
            "guest 401 set serial0=socket kvm=0",
            "guest 302 set scsi0=local:302/vm-302-disk-0.qcow2,size=1G",
        ),
        31_057: ("guest 400 crash",),
        31_060: (f'{_FAILS} task=qmigrate vmid=400 seconds=4 text="migration problems"',),
        31_121: ("faults clear",),
        31_130: ("call DELETE /cluster/ha/resources/vm:400", "adopt 400"),
        31_160: (
            "call DELETE /cluster/ha/resources/vm:401",
            "call DELETE /cluster/ha/resources/vm:403",
        ),
        31_195: (f"make lxc 420 cl2 {_GUEST_420}", "guest 420 start"),
        31_209: (f'{_FAILS} task=qmstart vmid=402 seconds=0.4 text="{_NO_QEMU}"',),
        31_211: ("call PUT /cluster/ha/resources/vm:401 state=disabled",),
        31_223: ("call PUT /cluster/ha/resources/vm:401 state=started",),
        31_230: ("wait 12", "node cl1 maintenance on"),
        31_245: ("node cl1 maintenance off",),
        31_268: ("node cl1 down",),
        31_284: ("quorum force",),
    },
    "containers, two nodes": {
        32_291: (f'{_SPOILS} task=vzmigrate vmid=421 skip=0 text="migration problems" times=2',),
    },
    "log and tasks": {
        33_077: ("guest 450 set memory=80",),
        33_080: ("guest 450 set name=byhand",),
        33_088: ("guest 450 move cl2",),
        33_092: ("guest 450 move cl1",),
        33_098: ("volume local:450/vm-450-disk-0.qcow2 remove",),
        33_105: ("guest 450 set memory=72",),
        33_107: ("guest 450 unset scsi0",),
    },
    "guest os, two nodes": {
        30_365: (f"make qemu 404 cl1 {_GUEST_404}",),
    },
}
"""What was done by hand, by story and the number of the entry before which it was."""
