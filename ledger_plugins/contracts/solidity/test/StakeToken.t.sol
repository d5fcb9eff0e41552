// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IAccessControl} from "@openzeppelin/contracts/access/IAccessControl.sol";
import {IERC20Errors} from "@openzeppelin/contracts/interfaces/draft-IERC6093.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

import {IStakeToken} from "../../stake_token/IStakeToken.sol";
import {Fixture} from "./Fixture.sol";

contract StakeTokenTest is Fixture {
    bytes32 private constant MINTER = keccak256("MINTER_ROLE");
    bytes32 private constant PROPOSER = keccak256("PROPOSER_ROLE");
    bytes32 private constant ROOT = bytes32(0);

    function setUp() public override {
        super.setUp();
        vm.prank(ADMIN);
        token.mint(ANN, 10);
    }

    function unauthorized(address account, bytes32 role) private {
        vm.expectRevert(
            abi.encodeWithSelector(
                IAccessControl.AccessControlUnauthorizedAccount.selector, account, role
            )
        );
    }

    function test_it_names_itself() public view {
        vm.assertEq(token.name(), "fedledger stake", "name");
        vm.assertEq(token.symbol(), "STAKE", "symbol");
        vm.assertEq(token.decimals(), 0, "decimals");
        vm.assertEq(token.MINTER_ROLE(), MINTER, "minter");
    }

    function test_the_constructor_gives_the_roles() public {
        vm.assertEq(token.hasRole(ROOT, ADMIN), true, "admin");
        vm.assertEq(token.hasRole(MINTER, ADMIN), true, "admin mints");
        vm.assertEq(token.hasRole(MINTER, address(tasks)), true, "tasks mint");
        vm.assertEq(token.hasRole(ROOT, address(tasks)), false, "tasks appoint nobody");
        vm.assertEq(token.hasRole(ROOT, address(this)), false, "the deployer has nothing");
        vm.assertEq(token.hasRole(MINTER, address(this)), false, "the deployer mints nothing");
        bytes memory nobody = abi.encode(address(0), list(BOB), list(EVE), list(ANN), list(OWNER));
        IStakeToken ownerless = IStakeToken(deploy("stake_token", nobody));
        vm.assertEq(ownerless.hasRole(ROOT, address(0)), false, "nobody");
        vm.assertEq(ownerless.hasRole(MINTER, address(0)), false, "nobody mints");
        vm.assertEq(ownerless.hasRole(MINTER, BOB), true, "a minter");
        vm.assertEq(ownerless.hasRole(PROPOSER, address(0)), false, "not everybody proposes");
        vm.assertEq(ownerless.hasRole(PROPOSER, EVE), true, "a proposer");
        vm.assertEq(ownerless.hasRole(token.LOCKER_ROLE(), ANN), true, "a locker");
        vm.assertEq(ownerless.hasRole(token.GOVERNOR_ROLE(), OWNER), true, "a governor");
        vm.assertEq(
            ownerless.hasRole(token.GOVERNOR_ROLE(), ANN), false, "a locker decides nothing"
        );
        vm.assertEq(ownerless.hasRole(token.LOCKER_ROLE(), BOB), false, "a minter locks nothing");
    }

    function test_minting_and_moving_say_so() public {
        vm.expectEmit(address(token));
        emit IERC20.Transfer(address(0), BOB, 5);
        vm.prank(ADMIN);
        token.mint(BOB, 5);
        vm.expectEmit(address(token));
        emit IERC20.Transfer(ANN, BOB, 4);
        vm.prank(ANN);
        vm.assertEq(token.transfer(BOB, 4), true, "transfer");
        vm.assertEq(token.balanceOf(ANN), 6, "Ann");
        vm.assertEq(token.balanceOf(BOB), 9, "Bob");
        vm.assertEq(token.totalSupply(), 15, "supply");
    }

    function test_allowances_are_spent_unless_they_are_infinite() public {
        vm.expectEmit(address(token));
        emit IERC20.Approval(ANN, BOB, 5);
        vm.prank(ANN);
        vm.assertEq(token.approve(BOB, 5), true, "approve");
        vm.prank(BOB);
        vm.assertEq(token.transferFrom(ANN, EVE, 3), true, "transferFrom");
        vm.assertEq(token.allowance(ANN, BOB), 2, "what is left");
        vm.prank(ANN);
        token.approve(BOB, type(uint256).max);
        vm.prank(BOB);
        token.transferFrom(ANN, EVE, 3);
        vm.assertEq(token.allowance(ANN, BOB), type(uint256).max, "infinite");
    }

    function test_roles_are_given_taken_and_given_up() public {
        vm.expectEmit(address(token));
        emit IAccessControl.RoleGranted(MINTER, EVE, ADMIN);
        vm.prank(ADMIN);
        token.grantRole(MINTER, EVE);
        vm.prank(EVE);
        token.mint(EVE, 1);
        vm.expectEmit(address(token));
        emit IAccessControl.RoleRevoked(MINTER, EVE, ADMIN);
        vm.prank(ADMIN);
        token.revokeRole(MINTER, EVE);
        unauthorized(EVE, MINTER);
        vm.prank(EVE);
        token.mint(EVE, 1);
        vm.expectEmit(address(token));
        emit IAccessControl.RoleRevoked(ROOT, ADMIN, ADMIN);
        vm.prank(ADMIN);
        token.renounceRole(ROOT, ADMIN);
        unauthorized(ADMIN, ROOT);
        vm.prank(ADMIN);
        token.grantRole(MINTER, EVE);
    }

    function test_roles_belong_to_the_admin() public {
        unauthorized(EVE, MINTER);
        vm.prank(EVE);
        token.mint(address(0), 1);
        unauthorized(EVE, ROOT);
        vm.prank(EVE);
        token.grantRole(MINTER, EVE);
        unauthorized(EVE, ROOT);
        vm.prank(EVE);
        token.revokeRole(MINTER, ADMIN);
        vm.expectRevert(
            abi.encodeWithSelector(IAccessControl.AccessControlBadConfirmation.selector)
        );
        vm.prank(EVE);
        token.renounceRole(MINTER, ADMIN);
        vm.assertEq(token.getRoleAdmin(MINTER), ROOT, "the admin's role");
    }

    function refused(bytes4 reason, address who) private {
        vm.expectRevert(abi.encodeWithSelector(reason, who));
    }

    function test_nobody_is_no_party() public {
        refused(IERC20Errors.ERC20InvalidReceiver.selector, address(0));
        vm.prank(ANN);
        token.transfer(address(0), 99);
        refused(IERC20Errors.ERC20InvalidReceiver.selector, address(0));
        vm.prank(ADMIN);
        token.mint(address(0), 1);
        refused(IERC20Errors.ERC20InvalidSender.selector, address(0));
        vm.prank(address(0));
        token.transfer(BOB, 0);
        refused(IERC20Errors.ERC20InvalidSpender.selector, address(0));
        vm.prank(ANN);
        token.approve(address(0), 1);
        refused(IERC20Errors.ERC20InvalidApprover.selector, address(0));
        vm.prank(BOB);
        token.transferFrom(address(0), BOB, 0);
    }

    function test_the_supply_does_not_overflow() public {
        vm.expectRevert(abi.encodeWithSignature("Panic(uint256)", 0x11));
        vm.prank(ADMIN);
        token.mint(BOB, type(uint256).max - 9);
        vm.prank(ADMIN);
        token.mint(BOB, type(uint256).max - 10);
    }

    function testFuzz_a_transfer_moves_what_is_there(uint256 value, address to) public {
        vm.assume(to != address(0));
        vm.prank(ANN);
        if (value > 10) {
            vm.expectRevert(
                abi.encodeWithSelector(
                    IERC20Errors.ERC20InsufficientBalance.selector, ANN, 10, value
                )
            );
            token.transfer(to, value);
        } else {
            token.transfer(to, value);
            vm.assertEq(token.balanceOf(to), to == ANN ? 10 : value, "received");
            vm.assertEq(token.balanceOf(ANN), to == ANN ? 10 : 10 - value, "left");
        }
        vm.assertEq(token.totalSupply(), 10, "supply");
    }

    function testFuzz_an_allowance_bounds_what_moves(uint256 allowed, uint256 value) public {
        vm.prank(ANN);
        token.approve(BOB, allowed);
        if (value > allowed) {
            vm.expectRevert(
                abi.encodeWithSelector(
                    IERC20Errors.ERC20InsufficientAllowance.selector, BOB, allowed, value
                )
            );
        } else if (value > 10) {
            vm.expectRevert(
                abi.encodeWithSelector(
                    IERC20Errors.ERC20InsufficientBalance.selector, ANN, 10, value
                )
            );
        }
        vm.prank(BOB);
        token.transferFrom(ANN, EVE, value);
        bool moved = value <= allowed && value <= 10;
        vm.assertEq(token.balanceOf(EVE), moved ? value : 0, "moved");
        bool spent = moved && allowed != type(uint256).max;
        vm.assertEq(token.allowance(ANN, BOB), spent ? allowed - value : allowed, "left");
    }
}
